//! One connection to PostgreSQL, used from a thread of its own; every wait has a deadline.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::runtime::Runtime;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::errors::classify;
use super::tls;
use crate::destinations::WriteError;
use crate::destinations::table::address::{Address, TlsMode};

/// Beyond this a server that answers nothing is out of order.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Our own safety options come last, so that the server's or the user's defaults cannot weaken them: a commit that is
/// acknowledged is on disk, and a process that was suspended does not hold its locks for ever.
const OPTIONS: &str = "SET synchronous_commit = on;
    SET lock_timeout = '5s';
    SET idle_in_transaction_session_timeout = '60s';
    SET extra_float_digits = 3";

/// How to connect.
pub(super) struct Server {
    config: Config,
    connector: Option<MakeRustlsConnect>,
    /// `host:port/database as user`: without the password.
    pub(super) description: String,
}

/// A living connection.
pub(super) struct Session {
    pub(super) client: Client,
    /// `UPDATE` of the progress; prepared once.
    pub(super) advance: Option<Statement>,
}

impl Server {
    /// Reads the address; does not connect yet.
    ///
    /// # Errors
    /// The address or the trusted authorities cannot be used.
    pub(super) fn new(address: &Address, pipeline: &str) -> anyhow::Result<Self> {
        let mut config: Config = address
            .url
            .parse()
            .context("the url of the database cannot be read")?;
        config
            .application_name(format!("millrace-sink {pipeline}"))
            .connect_timeout(CONNECT_DEADLINE)
            .keepalives_idle(Duration::from_secs(15))
            .tcp_user_timeout(ANSWER_DEADLINE)
            .ssl_mode(match address.tls.mode {
                TlsMode::Disable => SslMode::Disable,
                TlsMode::Prefer => SslMode::Prefer,
                TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
            });
        let connector = match address.tls.mode {
            TlsMode::Disable => None,
            _ => Some(tls::connector(&address.tls)?),
        };
        Ok(Self {
            description: describe(&config),
            config,
            connector,
        })
    }

    /// Connects; the connection is driven by the tasks of the current runtime.
    pub(super) async fn connect(&self) -> Result<Session, WriteError> {
        let client = match &self.connector {
            None => {
                let (client, connection) = patient(self.config.connect(NoTls)).await?;
                // What ends the connection also ends the request that waits for it.
                tokio::spawn(async move {
                    let _ = connection.await;
                });
                client
            }
            Some(connector) => {
                let connecting = self.config.connect(connector.clone());
                let (client, connection) = patient(connecting).await?;
                tokio::spawn(async move {
                    let _ = connection.await;
                });
                client
            }
        };
        patient(client.batch_execute(OPTIONS)).await?;
        Ok(Session {
            client,
            advance: None,
        })
    }
}

/// A runtime that works only while a call waits.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Waits for an answer, within the deadline, and says what an error means.
pub(super) async fn patient<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, WriteError> {
    within(answer).await?.map_err(classify)
}

/// Waits for an answer of any kind, within the deadline.
pub(super) async fn within<T>(answer: impl Future<Output = T>) -> Result<T, WriteError> {
    tokio::time::timeout(ANSWER_DEADLINE, answer)
        .await
        .map_err(|_| {
            let seconds = ANSWER_DEADLINE.as_secs();
            WriteError::Transient(anyhow!("PostgreSQL did not answer within {seconds} s"))
        })
}

fn describe(config: &Config) -> String {
    use tokio_postgres::config::Host;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or("the default user");
    let database = config.get_dbname().unwrap_or(user);
    format!("{host}:{port}/{database} as {user}")
}
