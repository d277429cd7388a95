//! A PostgreSQL or MariaDB of its own per test, read back by the server's own client.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::rig::{Rig, wait_until};
use crate::stores::{Row, check_rows};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Mariadb,
}

/// A running server; gone with its data when dropped.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    folder: TempDir,
    pub(crate) url: String,
}

impl Server {
    /// Starts a server with an empty database.
    pub(crate) fn start(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server runs as another user.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let mut server = Self {
            kind,
            folder,
            url: String::new(),
        };
        server.url = server.script("start");
        server
    }

    /// Starts it again, on the same port, with the same data.
    pub(crate) fn restart(&self) {
        assert_eq!(self.script("start"), self.url);
    }

    /// SIGKILL for all its processes.
    pub(crate) fn kill(&self) {
        self.script("kill");
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        let (_, after) = self.url.split_once('@').unwrap();
        after.split('/').next().unwrap()
    }

    fn script(&self, command: &str) -> String {
        let name = match self.kind {
            Kind::Postgres => "postgres",
            Kind::Mariadb => "mariadb",
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let output = Command::new(root.join("scripts").join(name))
            .arg(command)
            .arg("--dir")
            .arg(self.folder.path().join("server"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} {command}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The pipeline that writes to the table `results` over this URL, as TOML.
    pub(crate) fn pipeline(&self, url: &str, roll: &str) -> String {
        let kind = match self.kind {
            Kind::Postgres => "postgres",
            Kind::Mariadb => "mysql",
        };
        format!(
            r#"
            [[pipelines]]
            name = "table"
            models = ["digits"]
            destination = {{ type = "{kind}", url = "{url}" }}
            roll = {roll}
            "#
        )
    }

    /// Asks the server's own client; lines of cells with tabs between them.
    pub(crate) fn query(&self, text: &str) -> Output {
        match self.kind {
            Kind::Postgres => Command::new("psql")
                .args(["-qAt", "-F", "\t", "-P", "null=NULL", "-c", text, &self.url])
                .output(),
            Kind::Mariadb => {
                let (host, port) = self.address().split_once(':').unwrap();
                Command::new("mariadb")
                    .args([
                        "--no-defaults",
                        "--protocol=tcp",
                        "-N",
                        "-B",
                        "-u",
                        "millrace",
                    ])
                    .args([
                        "-pthrow-away",
                        "-h",
                        host,
                        "-P",
                        port,
                        "-e",
                        text,
                        "millrace",
                    ])
                    .output()
            }
        }
        .expect("the client is installed")
    }

    /// All rows of the table; none while there is no table, or no server.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let text = match self.kind {
            Kind::Postgres => "SELECT partition, \"offset\", y FROM results",
            Kind::Mariadb => "SELECT `partition`, `offset`, y FROM results",
        };
        let output = self.query(text);
        let lines = String::from_utf8(output.stdout).unwrap();
        let row = |line: &str| {
            let cells: Vec<&str> = line.split('\t').collect();
            let place = (cells[0].parse().unwrap(), cells[1].parse().unwrap());
            (place, cells[2].parse().ok())
        };
        lines.lines().map(row).collect()
    }

    /// Waits until the table holds as many rows as the ledger, then compares them row by row.
    pub(crate) fn check_exactly_once(&self, rig: &Rig) {
        rig.wait_acknowledged();
        let ledger = rig.ledger();
        wait_until("the table has all rows", || {
            self.rows().len() >= ledger.len()
        });
        check_rows("the table", self.rows(), &ledger);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
