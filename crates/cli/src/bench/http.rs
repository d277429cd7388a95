//! The load over HTTP.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, ensure};
use millrace_openloop::{self as open_loop, Connection, Load, Outcome, Request};
use millrace_wire::{Signature, TensorSpec};
use serde::Deserialize;

use crate::exit::Exit;

use super::{Args, body};

pub(super) fn run(args: &Args, body: Option<String>, load: Load) -> anyhow::Result<Outcome> {
    let address = address(&args.url)?;
    let model = &args.model;
    let body = match body {
        Some(body) => body,
        None => body::zeros(&signature(args, address)?),
    };
    let request = Request::post(&format!("/v1/models/{model}:predict"), &body);
    let request = authorized(args, request)?;
    // What never works need not be tried a thousand times.
    ask(&mut Connection::new(address), &request)?;
    let caller = |_| {
        let mut connection = Connection::new(address);
        let request = &request;
        move |_: u64| ask(&mut connection, request)
    };
    open_loop::run(load, (0..args.callers).map(caller).collect())
}

/// `http://host:port`, without a path.
fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let wrong = |why: &str| Exit::Usage.error(format!("--url {url}: {why}"));
    let host = url.trim_end_matches('/').strip_prefix("http://");
    let host = host.ok_or_else(|| wrong("write http://host:port; TLS is not spoken here"))?;
    if host.contains('/') {
        return Err(wrong("write http://host:port without a path"));
    }
    let mut addresses = match host.contains(':') {
        true => host.to_socket_addrs(),
        false => (host, 80).to_socket_addrs(),
    }
    .map_err(|error| wrong(&error.to_string()))?;
    addresses.next().ok_or_else(|| wrong("has no address"))
}

fn authorized(args: &Args, request: Request) -> anyhow::Result<Request> {
    match &args.key {
        None => Ok(request),
        Some(key) => request.with_header("Authorization", &format!("Bearer {key}")),
    }
}

fn ask(connection: &mut Connection, request: &Request) -> anyhow::Result<()> {
    let response = connection.send(request)?;
    ensure!(
        response.status == 200,
        "HTTP {}: {}",
        response.status,
        String::from_utf8_lossy(response.body)
    );
    Ok(())
}

/// What the Open Inference Protocol says of a model; the part that is needed.
#[derive(Deserialize)]
struct Metadata {
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}

fn signature(args: &Args, address: SocketAddr) -> anyhow::Result<Signature> {
    let request = authorized(args, Request::get(&format!("/v2/models/{}", args.model)))?;
    let mut connection = Connection::new(address);
    let response = connection.send(&request).map_err(|error| {
        Exit::Unreachable.error(format!(
            "no ingest answers at {} ({error:#}); start it, or name another one with --url",
            args.url
        ))
    })?;
    let text = String::from_utf8_lossy(response.body);
    match response.status {
        200 => {}
        404 => {
            return Err(Exit::Missing.error(format!(
                "{text}: nobody serves {}; see millrace models list",
                args.model
            )));
        }
        401 | 403 => return Err(Exit::No.error(format!("{text}: name a key with --key"))),
        status => anyhow::bail!("HTTP {status}: {text}"),
    }
    let metadata: Metadata =
        serde_json::from_str(&text).context("the model's metadata cannot be read")?;
    let spec = |input: Input| {
        Ok(TensorSpec {
            name: input.name,
            dtype: input.datatype.parse()?,
            shape: input
                .shape
                .iter()
                .map(|&size| usize::try_from(size).ok())
                .collect(),
        })
    };
    Ok(Signature {
        inputs: metadata
            .inputs
            .into_iter()
            .map(spec)
            .collect::<anyhow::Result<_>>()?,
        outputs: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_are_taken() {
        assert_eq!(address("http://127.0.0.1:81/").unwrap().port(), 81);
        assert_eq!(address("http://127.0.0.1").unwrap().port(), 80);
        for wrong in ["127.0.0.1:80", "https://127.0.0.1", "http://127.0.0.1/v1"] {
            let error = address(wrong).unwrap_err().to_string();
            assert!(error.contains("http://host:port"), "{error}");
        }
    }
}
