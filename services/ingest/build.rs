//! Compiles the gRPC protocols: the servers of ingest, and the clients that its tests play.

use std::path::{Path, PathBuf};

/// Relative to the folder `proto`.
const FILES: [&str; 2] = ["inference.proto", "tensorflow/serving.proto"];

/// Messages that carry tensors: the servers take and give them as bytes, and `millrace_wire::protobuf`
/// walks those.
const UNREAD: [&str; 5] = [
    ".inference.ModelInferRequest",
    ".tensorflow.serving.PredictRequest",
    ".tensorflow.serving.ClassificationRequest",
    ".tensorflow.serving.RegressionRequest",
    ".tensorflow.serving.MultiInferenceRequest",
];
const WRITTEN: [&str; 6] = [
    ".inference.ModelInferResponse",
    ".inference.ModelStreamInferResponse",
    ".tensorflow.serving.PredictResponse",
    ".tensorflow.serving.ClassificationResponse",
    ".tensorflow.serving.RegressionResponse",
    ".tensorflow.serving.MultiInferenceResponse",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let descriptors = protox::compile(FILES, ["proto"])?;
    let encoded = protox::Compiler::new(["proto"])?
        .include_imports(true)
        .open_files(FILES)?
        .encode_file_descriptor_set();
    std::fs::write(out.join("descriptors.bin"), encoded)?;

    let mut servers = tonic_prost_build::configure()
        .build_client(false)
        .codec_path("crate::grpc::codec::Codec")
        .include_file("servers.rs")
        .out_dir(folder(&out, "servers")?);
    for message in UNREAD {
        servers = servers.extern_path(message, "crate::grpc::codec::Unread");
    }
    for message in WRITTEN {
        servers = servers.extern_path(message, "crate::grpc::codec::Written");
    }
    servers.compile_fds(descriptors.clone())?;

    tonic_prost_build::configure()
        .build_server(false)
        .include_file("clients.rs")
        .out_dir(folder(&out, "clients")?)
        .compile_fds(descriptors)?;
    Ok(())
}

fn folder(out: &Path, name: &str) -> std::io::Result<PathBuf> {
    let folder = out.join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
