//! Connecting to MySQL or MariaDB; every wait has a deadline.

use std::time::Duration;

use anyhow::Context;
use mysql::error::{DriverError, Error};
use mysql::prelude::Queryable;
use mysql::{Conn, Opts, OptsBuilder, SslOpts};

use super::errors::classify;
use crate::destinations::WriteError;
use crate::destinations::table::address::{Address, Tls, TlsMode};

/// Beyond this a server that answers nothing is out of order.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Nothing is truncated or rounded in silence, and a process that was suspended does not hold its locks for ever.
const OPTIONS: [&str; 6] = [
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,NO_ENGINE_SUBSTITUTION'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION innodb_lock_wait_timeout = 5",
    "SET SESSION wait_timeout = 30",
    "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
];

/// How to connect.
pub(super) struct Server {
    options: OptsBuilder,
    tls: Tls,
    /// `host:port/database as user`: without the password.
    pub(super) description: String,
}

impl Server {
    /// Reads the address; does not connect yet.
    ///
    /// # Errors
    /// The address cannot be used.
    pub(super) fn new(address: &Address) -> anyhow::Result<Self> {
        // The client knows one name of the protocol.
        let url = match address.url.strip_prefix("mariadb://") {
            Some(rest) => format!("mysql://{rest}"),
            None => address.url.clone(),
        };
        let options = Opts::from_url(&url).context("the url of the database cannot be read")?;
        let description = format!(
            "{}:{}/{} as {}",
            options.get_ip_or_hostname(),
            options.get_tcp_port(),
            options.get_db_name().unwrap_or_default(),
            options.get_user().unwrap_or("the default user")
        );
        let options = OptsBuilder::from_opts(options)
            .prefer_socket(false)
            .tcp_connect_timeout(Some(CONNECT_DEADLINE))
            .read_timeout(Some(ANSWER_DEADLINE))
            .write_timeout(Some(ANSWER_DEADLINE));
        Ok(Self {
            options,
            tls: address.tls.clone(),
            description,
        })
    }

    pub(super) fn connect(&self) -> Result<Conn, WriteError> {
        let connected = Conn::new(self.options.clone().ssl_opts(ssl(&self.tls)));
        let mut connection = match connected {
            Err(Error::DriverError(DriverError::TlsNotSupported))
                if self.tls.mode == TlsMode::Prefer =>
            {
                Conn::new(self.options.clone())
            }
            other => other,
        }
        .map_err(classify)?;
        for option in OPTIONS {
            connection.query_drop(option).map_err(classify)?;
        }
        Ok(connection)
    }
}

fn ssl(tls: &Tls) -> Option<SslOpts> {
    let unchecked = SslOpts::default()
        .with_danger_accept_invalid_certs(true)
        .with_danger_skip_domain_validation(true);
    match tls.mode {
        TlsMode::Disable => None,
        TlsMode::Prefer | TlsMode::Require => Some(unchecked),
        TlsMode::VerifyCa => Some(
            SslOpts::default()
                .with_root_cert_path(tls.root.clone())
                .with_danger_skip_domain_validation(true),
        ),
        TlsMode::VerifyFull => Some(SslOpts::default().with_root_cert_path(tls.root.clone())),
    }
}
