//! Infer as the rows start it.

use e2e::{Infer, Process, Program, Supervisor};

use crate::rig::{Delivery, MODEL, Rig};

/// How one infer process is started.
#[derive(Clone, Copy)]
pub(crate) struct Replica<'a> {
    /// The name under which it writes transactions.
    pub(crate) name: &'a str,
    /// Behind the proxy.
    pub(crate) proxied: bool,
    /// The name is that of a static member of the group, too.
    pub(crate) fixed: bool,
    /// After how many seconds the broker gives up its transactions.
    pub(crate) timeout_s: u32,
}

impl<'a> Replica<'a> {
    pub(crate) fn named(name: &'a str) -> Self {
        Self {
            name,
            proxied: false,
            fixed: false,
            timeout_s: 15,
        }
    }

    pub(crate) fn proxied(self) -> Self {
        Self {
            proxied: true,
            ..self
        }
    }

    pub(crate) fn fixed(self) -> Self {
        Self {
            fixed: true,
            ..self
        }
    }

    pub(crate) fn timeout_s(self, timeout_s: u32) -> Self {
        Self { timeout_s, ..self }
    }

    /// It, once it is ready.
    pub(crate) fn start(self, rig: &Rig) -> Process {
        let program = Program {
            binary: "millrace-infer",
            port_file_key: "admin.port_file",
            without: rig.guard(),
        };
        let settings = self.settings(rig);
        let mut process = Process::start_program(program, rig.line().dir(), &settings);
        process.wait_ready();
        process
    }

    /// It, started again whenever it ends.
    pub(crate) fn supervise(self, rig: &Rig) -> Supervisor {
        Supervisor::start(rig.line().dir(), self.settings(rig))
    }

    /// It serves single rows, so that the run is long enough to be disturbed.
    fn settings(self, rig: &Rig) -> String {
        let delivery = match rig.delivery() {
            Delivery::AtLeastOnce => "at_least_once",
            Delivery::ExactlyOnce => "exactly_once",
        };
        let Self {
            name, timeout_s, ..
        } = self;
        let transactions = format!("[transactions]\ntimeout = \"{timeout_s}s\"");
        let through = rig.cluster().proxy().brokers();
        let settings = rig.line().infer_settings(Infer {
            models: "tests/models",
            names: &[MODEL],
            max_rows: 4,
            engines: 2,
            brokers: self.proxied.then_some(through.as_str()),
            settings: &format!("delivery = {delivery:?}\nreplica = {name:?}\n{transactions}"),
        });
        match self.fixed {
            true => settings.replace(
                "[consumer]\n",
                &format!("[consumer]\ninstance_id = {name:?}\n"),
            ),
            false => settings,
        }
    }
}
