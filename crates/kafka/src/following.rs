//! The polling thread of a follower.

use std::sync::atomic::AtomicBool;

use tokio::sync::watch;

use crate::error::Error;
use crate::follower::FollowerSettings;
use crate::group::Control;
use crate::metrics::Metrics;
use crate::record::Record;
use crate::state::State;

pub(crate) struct Following<F> {
    settings: FollowerSettings,
    on_record: F,
}

impl<F: FnMut(Record)> Following<F> {
    pub(crate) fn new(
        settings: FollowerSettings,
        on_record: F,
        _metrics: &Metrics,
    ) -> Result<Self, Error> {
        Ok(Self {
            settings,
            on_record,
        })
    }
    pub(crate) fn run(
        self,
        _control: &Control,
        _caught_up: &AtomicBool,
        _states: &watch::Sender<State>,
    ) -> Result<(), Error> {
        todo!()
    }
}
