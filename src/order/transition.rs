//! Which state may follow which: the state machine of orders.

use super::order::{PaymentStatus, State, Status};
use crate::error::{Code, Problem};
use crate::inventory::{Cause, Movement};
use crate::payment::{Answer, Terms};

/// A step from one state to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The order's new status.
    pub status: Status,
    /// The new status of its money.
    pub payment_status: PaymentStatus,
    /// The new status of the payment that was settled.
    pub settled: PaymentStatus,
    /// How its units move, and why.
    pub movement: Option<(Movement, Cause)>,
    /// The event for the outbox.
    pub event: &'static str,
}

fn refused(state: &State, to: &str) -> Problem {
    let detail = match state.payment_status {
        PaymentStatus::Processing => format!("A payment is in progress, so it cannot be {to}."),
        _ => format!("The order is {}, so it cannot be {to}.", state.status.as_str()),
    };
    Problem::new(Code::InvalidTransition, detail)
}

/// Another payment begins.
pub fn pay(state: &State, terms: Terms, is_overdue: bool) -> Result<Transition, Problem> {
    let step = |status, payment_status, movement, event| Transition {
        status,
        payment_status,
        settled: payment_status,
        movement,
        event,
    };
    let is_processing = state.payment_status == PaymentStatus::Processing;
    match (state.status, terms) {
        _ if is_processing => Err(refused(state, "paid again")),
        (Status::PendingPayment, _) if is_overdue => Err(refused(state, "paid after its pay_by")),
        (Status::PendingPayment, Terms::Invoice) => {
            let sold = (Movement::SellHeld, Cause::OrderPaid);
            Ok(step(Status::Confirmed, PaymentStatus::Pending, Some(sold), "order.confirmed"))
        }
        (Status::PendingPayment | Status::Confirmed, Terms::Charge) => {
            Ok(step(state.status, PaymentStatus::Processing, None, "payment.started"))
        }
        _ => Err(refused(state, "paid")),
    }
}

/// A provider answered yes or no. Money that came too late takes the stock again if it can
/// (`can_retake`), and must be refunded otherwise.
pub fn settle(state: &State, answer: Answer, can_retake: &mut dyn FnMut() -> bool) -> Transition {
    let step = |status, payment_status, settled, movement: Option<Movement>, event| Transition {
        status,
        payment_status,
        settled,
        movement: movement.map(|movement| (movement, Cause::OrderPaid)),
        event,
    };
    use PaymentStatus::{Captured, Declined, Pending, RefundDue};
    if answer != Answer::Captured {
        let payment_status = match state.status {
            Status::Confirmed => Pending,
            Status::PendingPayment => Declined,
            _ if state.payment_status == PaymentStatus::Processing => Declined,
            _ => state.payment_status,
        };
        return step(state.status, payment_status, Declined, None, "payment.declined");
    }
    match state.status {
        Status::PendingPayment => {
            step(Status::Paid, Captured, Captured, Some(Movement::SellHeld), "order.paid")
        }
        Status::Confirmed => step(Status::Paid, Captured, Captured, None, "order.paid"),
        Status::Expired if can_retake() => {
            step(Status::Paid, Captured, Captured, Some(Movement::Sell), "order.paid")
        }
        Status::Expired | Status::Cancelled => {
            step(state.status, RefundDue, RefundDue, None, "payment.refund_due")
        }
        // Paid by another payment before.
        status => step(status, state.payment_status, RefundDue, None, "payment.refund_due"),
    }
}

/// The order is given up; `None` if it was before.
pub fn cancel(state: &State) -> Result<Option<Transition>, Problem> {
    let movement = match state.status {
        Status::Cancelled => return Ok(None),
        Status::PendingPayment => Movement::ReleaseHeld,
        Status::Confirmed => Movement::ReleaseSold,
        _ => return Err(refused(state, "cancelled")),
    };
    Ok(Some(Transition {
        status: Status::Cancelled,
        payment_status: state.payment_status,
        settled: state.payment_status,
        movement: Some((movement, Cause::OrderCancelled)),
        event: "order.cancelled",
    }))
}

/// The order was not paid in time; a payment without an answer keeps it for a while longer.
pub fn expire(state: &State, is_overdue: bool, is_long_overdue: bool) -> Option<Transition> {
    let waits_for_provider =
        state.payment_status == PaymentStatus::Processing && !is_long_overdue;
    if state.status != Status::PendingPayment || !is_overdue || waits_for_provider {
        return None;
    }
    Some(Transition {
        status: Status::Expired,
        payment_status: state.payment_status,
        settled: state.payment_status,
        movement: Some((Movement::ReleaseHeld, Cause::OrderExpired)),
        event: "order.expired",
    })
}
