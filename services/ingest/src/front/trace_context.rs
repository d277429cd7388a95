//! W3C trace context of a caller: passed on when well-formed, dropped when not.

use millrace_boot::trace::{Kind, Place, Span};

/// A longer `tracestate` is dropped, as the W3C recommendation allows.
const MAX_TRACESTATE_BYTES: usize = 512;

/// The trace headers that travel on with a request's record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub(crate) traceparent: Option<String>,
    pub(crate) tracestate: Option<String>,
    /// Whether a header was there but not well-formed, and therefore dropped.
    pub(crate) dropped: bool,
}

impl TraceContext {
    /// Reads all values of `traceparent` and that of `tracestate`; a state
    /// without a valid parent means nothing and is dropped too.
    pub(crate) fn of<'a>(
        mut parents: impl Iterator<Item = &'a [u8]>,
        state: Option<&[u8]>,
    ) -> Self {
        let mut context = Self::default();
        if let Some(parent) = parents.next() {
            match std::str::from_utf8(parent) {
                Ok(text) if parents.next().is_none() && is_traceparent(text) => {
                    context.traceparent = Some(text.to_owned());
                }
                _ => context.dropped = true,
            }
        }
        if let Some(state) = state {
            let visible = |byte: &u8| matches!(byte, b' '..=b'~');
            match std::str::from_utf8(state) {
                Ok(text)
                    if context.traceparent.is_some()
                        && text.len() <= MAX_TRACESTATE_BYTES
                        && state.iter().all(visible) =>
                {
                    context.tracestate = Some(text.to_owned());
                }
                _ => context.dropped = true,
            }
        }
        context
    }

    /// Where the caller's trace is.
    pub(crate) fn place(&self) -> Option<Place> {
        Place::parse(self.traceparent.as_ref()?.as_bytes())
    }

    /// A span for sending a request to `topic`, inside of `span`, and what travels with the record: the place of the
    /// new span, or the caller's own headers where no traces are collected.
    pub(crate) fn sent_within(mut self, span: &Span, topic: &str) -> (Self, Span) {
        let mut sending = Span::follow(span.place(), Kind::Producer, || format!("send {topic}"));
        sending.set("messaging.system", "kafka");
        sending.set("messaging.destination.name", topic);
        if let Some(place) = sending.place() {
            self.traceparent = Some(place.traceparent());
        }
        (self, sending)
    }
}

/// `version-traceid-parentid-flags`, lower-case hexadecimal, ids not all zero.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = parts[..] else {
        return false;
    };
    is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && trace.bytes().any(|byte| byte != b'0')
        && parent.bytes().any(|byte| byte != b'0')
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(parents: &[&str], state: Option<&str>) -> TraceContext {
        let parents = parents.iter().map(|it| it.as_bytes());
        TraceContext::of(parents, state.map(str::as_bytes))
    }

    #[test]
    fn a_well_formed_context_travels_on() {
        let context = of(&[GOOD], Some("vendor=1"));
        assert_eq!(context.traceparent.as_deref(), Some(GOOD));
        assert_eq!(context.tracestate.as_deref(), Some("vendor=1"));
        assert!(!context.dropped);
    }

    #[test]
    fn a_malformed_parent_is_dropped_with_its_state() {
        let zero_trace = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for bad in ["", "00", "x", &GOOD.to_uppercase(), zero_trace, &GOOD[..54]] {
            let context = of(&[bad], Some("vendor=1"));
            assert_eq!(context.traceparent, None, "{bad}");
            assert_eq!(context.tracestate, None, "{bad}");
            assert!(context.dropped, "{bad}");
        }
    }

    #[test]
    fn two_parents_are_no_parent() {
        assert_eq!(of(&[GOOD, GOOD], None).traceparent, None);
    }

    #[test]
    fn a_huge_state_is_dropped_and_the_parent_kept() {
        let context = of(&[GOOD], Some(&"a".repeat(65_536)));
        assert_eq!(context.traceparent.as_deref(), Some(GOOD));
        assert_eq!(context.tracestate, None);
        assert!(context.dropped);
    }
}
