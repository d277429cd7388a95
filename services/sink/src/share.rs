//! The ticket of a block of records, which end at different times.

use millrace_kafka::{RecordBlock, Ticket};

/// The ticket of a block, given out in parts.
pub(crate) struct Share<'a> {
    block: &'a RecordBlock,
    ticket: Option<Ticket>,
    /// The first record that it still stands for.
    from: usize,
}

impl<'a> Share<'a> {
    pub(crate) fn new(block: &'a RecordBlock, ticket: Ticket) -> Self {
        Self {
            block,
            ticket: Some(ticket),
            from: 0,
        }
    }

    /// What is left of it holds so many bytes more.
    pub(crate) fn grow(&mut self, bytes: usize) {
        if let Some(ticket) = &mut self.ticket {
            ticket.grow(bytes);
        }
    }

    pub(crate) fn is_current(&self) -> bool {
        self.ticket.as_ref().is_none_or(Ticket::is_current)
    }

    /// The ticket of the records before `index` that are not given out yet.
    pub(crate) fn up_to(&mut self, index: usize) -> Option<Ticket> {
        if index == self.from {
            return None;
        }
        let mut ticket = self.ticket.take()?;
        if index < self.block.len() {
            let left = self.block.size_bytes(index..self.block.len());
            self.ticket = Some(ticket.split_off(index - self.from, left));
        }
        self.from = index;
        Some(ticket)
    }
}
