//! `Ticket`: one request's wait for all of its parts.

use std::sync::Arc;

use futures::channel::oneshot;
use parking_lot::Mutex;

use super::WriteError;
use crate::log::AppendError;

#[derive(Default)]
struct State {
    units_left: usize,
    written: usize,
    refused: Option<String>,
    unknown: Option<String>,
    done: Option<oneshot::Sender<Result<(), WriteError>>>,
}

/// Told by every unit of a request how it ended; tells the request.
pub(super) struct Ticket {
    state: Mutex<State>,
}

/// One unit's share of a ticket.
pub(super) struct UnitTicket {
    ticket: Arc<Ticket>,
    state: Mutex<UnitState>,
}

#[derive(Default)]
struct UnitState {
    parts_left: usize,
    refused: Option<String>,
    unknown: Option<String>,
}

impl Ticket {
    /// A ticket of a request with this many units; without any it is settled at once.
    pub(super) fn new(units: usize) -> (Arc<Ticket>, oneshot::Receiver<Result<(), WriteError>>) {
        let (sender, receiver) = oneshot::channel();
        let mut state = State { units_left: units, ..State::default() };
        if units == 0 {
            // The receiver is right here.
            let _ = sender.send(Ok(()));
        } else {
            state.done = Some(sender);
        }
        (Arc::new(Ticket { state: Mutex::new(state) }), receiver)
    }

    /// The share of one unit of so many parts.
    pub(super) fn unit(self: &Arc<Self>, parts: usize) -> Arc<UnitTicket> {
        let state = Mutex::new(UnitState { parts_left: parts, ..UnitState::default() });
        Arc::new(UnitTicket { ticket: Arc::clone(self), state })
    }
}

impl UnitTicket {
    /// One part has ended.
    pub(super) fn part(&self, outcome: &Result<(), AppendError>) {
        let mut unit = self.state.lock();
        match outcome {
            Ok(()) => {}
            Err(AppendError::Refused(text)) => unit.refused = Some(text.clone()),
            Err(AppendError::Unknown(text)) => unit.unknown = Some(text.clone()),
        }
        unit.parts_left = unit.parts_left.saturating_sub(1);
        if unit.parts_left > 0 {
            return;
        }
        // A unit that lacks a part for certain never takes effect, whatever became of the others.
        let ended = std::mem::take(&mut *unit);
        drop(unit);
        self.ticket.unit_done(ended);
    }
}

impl Ticket {
    fn unit_done(&self, unit: UnitState) {
        let mut state = self.state.lock();
        match (unit.refused, unit.unknown) {
            (Some(text), _) => state.refused = Some(text),
            (None, Some(text)) => state.unknown = Some(text),
            (None, None) => state.written += 1,
        }
        state.units_left = state.units_left.saturating_sub(1);
        if state.units_left > 0 {
            return;
        }
        let outcome = match (state.unknown.take(), state.refused.take(), state.written) {
            (None, None, _) => Ok(()),
            (None, Some(text), 0) => Err(WriteError::Refused(text)),
            (None, Some(text), _) => {
                Err(WriteError::Unknown(format!("written to some channels only: {text}")))
            }
            (Some(text), _, _) => Err(WriteError::Unknown(text)),
        };
        if let Some(done) = state.done.take() {
            drop(state);
            // A client that went away needs no answer.
            let _ = done.send(outcome);
        }
    }
}
