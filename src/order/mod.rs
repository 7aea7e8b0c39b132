//! Orders: placing, paying, cancelling and expiring, all through one journal.

mod actor;
mod body;
mod checkout;
mod command;
mod decide;
mod in_flight;
#[allow(clippy::module_inception)]
mod order;
mod pricing;
mod reaper;
pub mod routes;
mod step;
pub mod store;
#[cfg(test)]
mod tests;
mod transition;

pub use actor::{Desk, Orders};
pub use body::{ItemBody, OrderBody, PaymentBody};
pub use command::{
    Command, KeyWrite, Known, Locked, NewPayment, OrderWrite, Outcome, PaymentWrite, Periods,
    World, Write,
};
pub use decide::{Decision, decide, is_idle};
pub use in_flight::InFlight;
pub use order::{Facts, Line, Payment, PaymentStatus, Placement, State, Status};
pub use pricing::{Draft, DraftItem};
pub use reaper::{Reaper, Schedule};
pub use step::{Answered, Due, Step, Unsettled};
