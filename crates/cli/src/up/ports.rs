//! Ports of this machine: asked for, or any that is free.

use std::net::TcpListener;

use crate::exit::Exit;

/// Where HTTP and gRPC are answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) http: u16,
    pub(super) grpc: u16,
}

/// # Errors
/// A port that was asked for is in use.
pub(super) fn choose(http: u16, grpc: u16) -> anyhow::Result<Ports> {
    // Both are held until both are known, so that they differ.
    let (held_http, held_grpc) = (listen(http, "--port")?, listen(grpc, "--grpc-port")?);
    Ok(Ports {
        http: held_http.local_addr()?.port(),
        grpc: held_grpc.local_addr()?.port(),
    })
}

/// So many free ports, each different.
pub(super) fn free(count: usize) -> anyhow::Result<Vec<u16>> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    let port = |listener: &TcpListener| Ok(listener.local_addr()?.port());
    held.iter().map(port).collect()
}

fn listen(port: u16, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
        Exit::No.error(format!(
            "port {port} of this machine cannot be used ({error}); choose another one with {flag}, \
             0 takes any free one"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused_with_the_flag_that_changes_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = choose(0, port).unwrap_err().to_string();
        assert!(
            error.contains("--grpc-port") && error.contains(&port.to_string()),
            "{error}"
        );
        let chosen = choose(0, 0).unwrap();
        assert_ne!(chosen.http, chosen.grpc);
    }
}
