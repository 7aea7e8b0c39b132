//! `rush`: a flash sale on this machine. The load tests do it, from outside; they stand beside
//! this program and share no code with it.

use clap::Args;
use std::ffi::OsString;
use std::io::{IsTerminal, stdout};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// A sale.
#[derive(Args)]
pub struct Rush {
    /// Buyers, each with one order of one unit.
    #[arg(long, default_value_t = 20_000)]
    buyers: u32,
    /// Units that there are.
    #[arg(long, default_value_t = 1_000)]
    units: u32,
    /// Everybody comes within this time.
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS")]
    seconds: f64,
    /// Instances, with a PostgreSQL and a Redis of their own.
    #[arg(long, default_value_t = 1)]
    instances: u32,
    /// More for `loadtests run`, such as --html FILE.
    #[arg(last = true)]
    more: Vec<OsString>,
}

impl Rush {
    /// Becomes the load test; 2 if it cannot, as the load test says it.
    pub fn run(&self, has_settings: bool) -> ExitCode {
        let why = match has_settings {
            true => "the instances of a rush read DOORBUSTER__…, not --set, --config or --env"
                .to_owned(),
            false => self.become_loadtests(),
        };
        eprintln!("doorbuster: {why}");
        ExitCode::from(2)
    }

    /// Returns only with why it cannot.
    fn become_loadtests(&self) -> String {
        let this = match std::env::current_exe() {
            Ok(this) => this,
            Err(error) => return error.to_string(),
        };
        let loadtests = this.with_file_name("loadtests");
        if !loadtests.is_file() {
            let place = loadtests.display();
            return format!("{place} is not there: build the package `loadtests` like this one");
        }
        let mut command = Command::new(&loadtests);
        command.args(["run", "rush"]).arg("--binary").arg(this);
        command.arg(format!("--start={}", self.instances));
        for (option, value) in [
            ("buyers", self.buyers.to_string()),
            ("units", self.units.to_string()),
            ("ramp-seconds", self.seconds.to_string()),
        ] {
            command.arg(format!("--set=options.{option}={value}"));
        }
        if stdout().is_terminal() {
            command.arg("--live");
        }
        format!("{}: {}", loadtests.display(), command.args(&self.more).exec())
    }
}
