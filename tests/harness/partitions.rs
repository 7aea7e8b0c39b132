//! `doorbuster partitions`, and the months that it knows.

use super::Database;
use time::OffsetDateTime;
use tokio::process::Command;

/// The first day of the month, so many months from now.
pub fn month(months: i32) -> String {
    let now = OffsetDateTime::now_utc();
    let months = now.year() * 12 + i32::from(u8::from(now.month())) - 1 + months;
    format!("{}-{:02}-01", months.div_euclid(12), months.rem_euclid(12) + 1)
}

impl Database {
    /// The command on this database.
    pub fn partitions(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
        command.args(["partitions", "--database", &self.url]).args(arguments);
        command
    }
}
