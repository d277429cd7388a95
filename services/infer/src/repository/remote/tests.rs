//! Tests of repositories behind a real S3 server and a web server.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as ObjectPath;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::repository::digest::hex;
use crate::repository::{ModelEntry, ModelError, ModelSource, Repository};
use crate::settings::Settings;

/// A repository behind `url`, with a cache of its own.
fn repository(url: &str, options: &[(&str, &str)]) -> (Repository, TempDir) {
    let cache = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.models.path = url.into();
    settings.models.cache = cache.path().to_owned();
    for (name, value) in options {
        let option = ((*name).to_owned(), (*value).to_owned());
        settings.models.options.extend([option]);
    }
    (Repository::open(&settings).unwrap(), cache)
}

fn fetch(repository: &Repository) -> Result<ModelSource, ModelError> {
    let found: Vec<ModelEntry> = repository.scan()?;
    repository.fetch(&found[0].name, found[0].wanted()?[0])
}

/// Files and folders that are no marks of use.
fn kept(cache: &Path) -> Vec<String> {
    let entries = fs::read_dir(cache).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".used")).collect()
}

fn complaint(error: ModelError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

/// A moto server with one bucket, `results`; ends with this value.
struct S3 {
    child: Child,
    endpoint: String,
}

impl S3 {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut child = Command::new(root.join(".venv/bin/python"))
            .arg(root.join("services/sink/tests/s3_server.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/setup has made .venv");
        let mut endpoint = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut endpoint).unwrap();
        Self {
            child,
            endpoint: endpoint.trim().to_owned(),
        }
    }

    fn put(&self, files: &[(&str, &str)]) {
        let store = AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_bucket_name("results")
            .with_access_key_id("key")
            .with_secret_access_key("secret")
            .build()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        for (path, text) in files {
            let path = ObjectPath::parse(path).unwrap();
            let put = store.put(&path, (*text).to_owned().into());
            runtime.block_on(put).unwrap();
        }
    }

    fn repository(&self, url: &str) -> (Repository, TempDir) {
        let options = [
            ("endpoint", self.endpoint.as_str()),
            ("allow_http", "true"),
            ("region", "us-east-1"),
            ("access_key_id", "key"),
            ("secret_access_key", "secret"),
        ];
        repository(url, &options)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_bucket_is_a_repository() {
    let s3 = S3::start();
    s3.put(&[
        ("team/models/digits/1/model.onnx", "one"),
        ("team/models/digits/2/a.xml", "<net/>"),
        ("team/models/digits/2/a.bin", "weights"),
        ("team/models/digits/2/notes/README", "two"),
        ("team/models/digits/model.toml", "[batch]\nmax_rows = 5"),
        ("team/models/other/7/model.onnx", "seven"),
        ("elsewhere/1/model.onnx", "not ours"),
    ]);
    let (repository, cache) = s3.repository("s3://results/team/models");
    let found = repository.scan().unwrap();
    let names: Vec<&str> = found.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["digits", "other"]);
    let versions: Vec<i64> = found[0]
        .versions
        .iter()
        .map(|entry| entry.version)
        .collect();
    assert_eq!(versions, [1, 2]);
    assert_eq!(found[0].options.as_ref().unwrap().batch.max_rows, Some(5));
    let source = fetch(&repository).unwrap();
    let open = source.open().unwrap();
    assert_eq!(
        fs::read(open.files.folder.join("a.bin")).unwrap(),
        b"weights"
    );
    assert_eq!(
        fs::read(open.files.folder.join("notes/README")).unwrap(),
        b"two"
    );
    assert_eq!(kept(cache.path()).len(), 2, "a folder and what is in it");

    let before = found[0].versions[1].clone();
    s3.put(&[("team/models/digits/2/a.bin", "changed")]);
    let after = repository.scan().unwrap()[0].versions[1].clone();
    assert_ne!(before.fingerprint, after.fingerprint);
    let error = repository.fetch("digits", &before).unwrap_err();
    assert!(matches!(error, ModelError::Changed { .. }), "{error}");
    let source = repository.fetch("digits", &after).unwrap();
    assert_eq!(source.size_bytes, 13);
}

#[test]
fn a_bucket_that_cannot_be_read_is_named_with_what_to_check() {
    let s3 = S3::start();
    let (repository, _cache) = s3.repository("s3://no-such-bucket/models");
    let error = complaint(repository.scan().unwrap_err());
    assert!(error.contains("s3://no-such-bucket/models"), "{error}");
    assert!(error.contains("credentials"), "{error}");
    let (repository, _cache) = s3.repository("s3://results/nothing");
    let error = complaint(repository.scan().unwrap_err());
    assert!(
        error.contains("no model in s3://results/nothing"),
        "{error}"
    );
}

#[test]
fn files_of_the_cache_that_were_changed_are_downloaded_again() {
    let s3 = S3::start();
    s3.put(&[("m/1/model.tflite", "weights")]);
    let (repository, _cache) = s3.repository("s3://results");
    let source = fetch(&repository).unwrap();
    let file = source.held.folder.join("model.tflite");
    let digest = source.sha256.clone();
    drop(source);
    fs::write(&file, "rotten").unwrap();
    let source = fetch(&repository).unwrap();
    assert_eq!(source.sha256, digest);
    assert_eq!(fs::read(&file).unwrap(), b"weights");
}

/// What a web server does with a request for a file.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Good,
    /// Ends in the middle of so many answers for model files.
    Cuts(usize),
}

/// A web server that knows neither ranges nor lists.
struct Web {
    url: String,
    files: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    requests: Arc<AtomicUsize>,
}

impl Web {
    /// Serves files with a list of them.
    fn start(files: &[(&str, &str)], mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/models", listener.local_addr().unwrap());
        let mut all: HashMap<String, Vec<u8>> = HashMap::new();
        let mut index = String::new();
        for (path, text) in files {
            all.insert((*path).to_owned(), text.as_bytes().to_vec());
            index += &format!("{}  ./{path}\n", hex(&Sha256::digest(text)));
        }
        all.insert("SHA256SUMS".to_owned(), index.into_bytes());
        let web = Self {
            url,
            files: Arc::new(Mutex::new(all)),
            requests: Arc::default(),
        };
        let (files, requests) = (Arc::clone(&web.files), Arc::clone(&web.requests));
        // It ends with the process, as nobody can reach it any more.
        thread::spawn(move || {
            let mut cuts = match mood {
                Mood::Good => 0,
                Mood::Cuts(cuts) => cuts,
            };
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                reader.read_line(&mut line).unwrap();
                let mut header = String::new();
                while reader.read_line(&mut header).unwrap() > 2 {
                    header.clear();
                }
                let path = line.split(' ').nth(1).unwrap();
                let path = path.trim_start_matches("/models").trim_start_matches('/');
                let content = files.lock().unwrap().get(path).cloned();
                let Some(mut content) = content else {
                    let _ =
                        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
                    continue;
                };
                requests.fetch_add(1, Ordering::SeqCst);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    content.len()
                );
                if path.ends_with(".tflite") && cuts > 0 {
                    cuts -= 1;
                    content.truncate(content.len() / 2);
                }
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(&content);
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read(&mut [0; 64]);
            }
        });
        web
    }

    fn change(&self, path: &str, text: &str) {
        let mut files = self.files.lock().unwrap();
        files.insert(path.to_owned(), text.as_bytes().to_vec());
    }
}

const DIGITS: [(&str, &str); 2] = [
    ("digits/3/model.tflite", "weights that are not short"),
    ("digits/model.toml", "[engine]\nthreads = 2"),
];

#[test]
fn a_web_server_with_a_list_of_digests_is_a_repository() {
    let web = Web::start(&DIGITS, Mood::Good);
    let (repository, _cache) = repository(&web.url, &[]);
    let source = fetch(&repository).unwrap();
    assert_eq!(source.sha256, hex(&Sha256::digest(DIGITS[0].1)));
    assert_eq!((source.version, source.options.engine.threads), (3, 2));
    let requests = web.requests.load(Ordering::SeqCst);
    drop(source);
    fetch(&repository).unwrap();
    let again = web.requests.load(Ordering::SeqCst) - requests;
    assert_eq!(again, 2, "the list twice, and nothing that is in the cache");
}

#[test]
fn a_web_server_without_a_list_says_how_to_make_one() {
    let web = Web::start(&DIGITS, Mood::Good);
    web.files.lock().unwrap().remove("SHA256SUMS");
    let (repository, _cache) = repository(&web.url, &[]);
    let error = complaint(repository.scan().unwrap_err());
    assert!(error.contains("sha256sum"), "{error}");
}

#[test]
fn a_download_that_is_cut_off_is_begun_again() {
    let web = Web::start(&DIGITS, Mood::Cuts(2));
    let (repository, _cache) = repository(&web.url, &[]);
    let source = fetch(&repository).unwrap();
    assert_eq!(source.sha256, hex(&Sha256::digest(DIGITS[0].1)));
}

#[test]
fn a_download_that_is_always_cut_off_leaves_nothing_behind() {
    let web = Web::start(&DIGITS, Mood::Cuts(usize::MAX));
    let (repository, cache) = repository(&web.url, &[]);
    let error = complaint(fetch(&repository).unwrap_err());
    assert!(error.contains("digits/3/model.tflite"), "{error}");
    assert_eq!(kept(cache.path()), Vec::<String>::new());
}

#[test]
fn a_file_that_is_not_what_the_list_says_is_refused_and_not_kept() {
    let web = Web::start(&DIGITS, Mood::Good);
    web.change("digits/3/model.tflite", "another model altogether");
    let (repository, cache) = repository(&web.url, &[]);
    let error = fetch(&repository).unwrap_err();
    assert!(matches!(error, ModelError::Checksum { .. }), "{error}");
    assert_eq!(kept(cache.path()), Vec::<String>::new());
}

#[test]
fn a_runtime_of_somebody_else_is_no_obstacle() {
    let web = Web::start(&DIGITS, Mood::Good);
    let (repository, _cache) = repository(&web.url, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { fetch(&repository).unwrap() });
}
