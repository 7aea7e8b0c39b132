//! Mail: written into a table together with what it is about, sent afterwards by a worker on every
//! instance, at least once, never inside a request.

mod letter;
mod postman;
pub mod store;
mod way;

pub use letter::{Link, Template};
pub use postman::Postman;
pub use store::{NewMail, SWEEP};
pub use way::Way;
