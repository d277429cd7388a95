//! Reads Parquet objects back from a bucket.

use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio_stream::StreamExt;

use crate::python::S3Server;
use crate::stores::{Row, batch_rows};

/// All rows of all objects below a prefix that a reader sees, each of which must be whole.
pub(crate) fn rows(server: &S3Server, prefix: &str) -> Vec<Row> {
    let store = AmazonS3Builder::new()
        .with_endpoint(&server.endpoint)
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_access_key_id("key")
        .with_secret_access_key("secret")
        .with_bucket_name("results")
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut rows = Vec::new();
        let mut objects = store.list(Some(&Path::from(prefix)));
        while let Some(object) = objects.next().await {
            let location = object.unwrap().location;
            if location.filename().unwrap().starts_with('.') {
                continue;
            }
            let bytes = store.get(&location).await.unwrap().bytes().await.unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes);
            for batch in reader.and_then(|file| file.build()).expect("a whole file") {
                rows.extend(batch_rows(&batch.unwrap()));
            }
        }
        rows
    })
}
