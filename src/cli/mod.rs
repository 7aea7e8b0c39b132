//! The commands: what they take, and which function does them.

mod dev;
mod maintain;
mod rush;
mod serve;

use clap::{Args, Parser, Subcommand};
use doorbuster::config::{Config, Sources};
use doorbuster::embedded;
use doorbuster::staff::NewStaff;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use time::format_description::well_known::Iso8601;
use time::{Date, OffsetDateTime};

/// A headless storefront backend for the days when everybody comes at once.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// A TOML file over the built-in configuration; may be given several times.
    #[arg(long, global = true, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// One setting, like `order.pay_within_seconds=60`; may be given several times.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// development or production.
    #[arg(long, global = true)]
    env: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// A shop on this machine: private PostgreSQL and Redis, a demo catalog, and the server.
    Dev(Dev),
    /// Serve with the configured PostgreSQL and Redis.
    Serve {
        /// Stop also when standard input closes, so when the program ends that holds it; for tests.
        #[arg(long, hide = true)]
        until_stdin_closes: bool,
    },
    /// Bring the database's schema up to this version.
    Migrate {
        #[command(flatten)]
        database: Database,
        /// A role that may serve from then on: rows, but no schema.
        #[arg(long, value_name = "ROLE")]
        grant_to: Option<String>,
    },
    /// Divide the tables that grow with orders by time, and keep them so: for large shops, daily.
    Partitions {
        #[command(flatten)]
        database: Database,
        /// Take the months that end until this day out of the tables, into the schema `archive`.
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
        archive_before: Option<Date>,
        /// Another day than this one; for tests.
        #[arg(long, hide = true, value_parser = day)]
        today: Option<Date>,
    },
    /// Load data from a file.
    #[command(subcommand)]
    Import(Import),
    /// Let the first owner in.
    #[command(subcommand)]
    Staff(Staff),
    /// Check the invariants: exit code 0 clean, 1 violated, 2 could not check.
    Verify {
        #[command(flatten)]
        database: Database,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// A flash sale on this machine, shown as it happens, and judged; by `loadtests` beside this
    /// program.
    Rush(rush::Rush),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(Configuration),
    /// Print the OpenAPI document.
    Openapi,
    /// Private PostgreSQL and Redis alone, until standard input closes; for tests.
    #[command(hide = true)]
    Services {
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
}

#[derive(Args)]
struct Dev {
    /// The port on 127.0.0.1.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The folder of this shop's data.
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
}

#[derive(Subcommand)]
enum Import {
    /// Products from CSV or NDJSON (by the file's ending), one variant a row.
    Catalog {
        /// sku, title, price_minor, currency, description, slug, status.
        file: PathBuf,
        /// Units to supply of each variant that has never had any.
        #[arg(long)]
        stock: Option<i64>,
        /// Say what would happen, and change nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        database: Database,
    },
    /// The demo catalog, into a shop that has no product yet.
    Demo(Database),
}

#[derive(Subcommand)]
enum Staff {
    /// Invite somebody, and print the token with which they choose a password.
    Create {
        /// What they will log in with.
        #[arg(long)]
        email: String,
        /// How to address them.
        #[arg(long)]
        name: String,
        /// What they may do.
        #[arg(long, default_value = "owner")]
        role: String,
        #[command(flatten)]
        database: Database,
    },
}

#[derive(Subcommand)]
enum Configuration {
    /// Print every setting with its value and where it came from.
    Print,
}

#[derive(Args)]
struct Database {
    /// The database; else the configured one, else that of the running `dev` in this folder.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The folder of the running `dev`.
    #[arg(long, value_name = "DIR", default_value = DATA)]
    data: PathBuf,
}

/// Where `dev` keeps its data unless told otherwise.
const DATA: &str = ".doorbuster";

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text, &Iso8601::DATE).map_err(|_| "write it as YYYY-MM-DD".to_owned())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Runs the command that was given; 0 well, 1 failed or violated, 2 could not be tried.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let has_settings = !cli.set.is_empty() || !cli.config.is_empty() || cli.env.is_some();
    let sources = cli.sources();
    let done = match cli.command {
        Command::Dev(dev) => self::dev::run(sources, dev.port, &dev.data),
        Command::Serve { until_stdin_closes } => serve::run(&sources, until_stdin_closes),
        Command::Migrate { database, grant_to } => {
            maintain::migrate(sources, &database, grant_to.as_deref())
        }
        Command::Partitions { database, archive_before, today } => {
            let today = today.unwrap_or_else(|| OffsetDateTime::now_utc().date());
            maintain::partitions(sources, &database, archive_before, today)
        }
        Command::Import(Import::Catalog { file, stock, dry_run, database }) => {
            maintain::import_catalog(sources, &database, &file, stock, dry_run)
        }
        Command::Import(Import::Demo(database)) => maintain::import_demo(sources, &database),
        Command::Staff(Staff::Create { email, name, role, database }) => {
            maintain::create_staff(sources, &database, &NewStaff { email, name, role })
        }
        Command::Verify { database, json } => return maintain::verify(sources, &database, json),
        Command::Rush(rush) => return rush.run(has_settings),
        Command::Config(Configuration::Print) => load(&sources).map(|config| {
            print!("{}", config.print());
            ExitCode::SUCCESS
        }),
        Command::Openapi => print_openapi(),
        Command::Services { data } => services(&data),
    };
    done.unwrap_or_else(|why| {
        eprintln!("doorbuster: {why}");
        ExitCode::FAILURE
    })
}

impl Cli {
    fn sources(&self) -> Sources {
        let mut overrides: BTreeMap<String, String> = self.set.iter().cloned().collect();
        overrides.extend(self.env.iter().map(|env| ("env".to_owned(), env.clone())));
        let environment = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Sources { files: self.config.clone(), environment, overrides }
    }
}

impl Database {
    /// The configuration with the database that is meant.
    fn config(&self, mut sources: Sources) -> Result<Config, String> {
        if let Some(url) = &self.database {
            sources.overrides.insert("postgres.url".to_owned(), url.clone());
        }
        let config = load(&sources)?;
        if !config.postgres.url.is_empty() {
            return Ok(config);
        }
        let running = embedded::running(&self.data).ok_or_else(|| {
            format!(
                "which database? Give --database URL, set DOORBUSTER__POSTGRES__URL, or start \
                 `doorbuster dev` with its data in {}",
                self.data.display()
            )
        })?;
        sources.overrides.insert("postgres.url".to_owned(), running.postgres_url);
        load(&sources)
    }
}

fn load(sources: &Sources) -> Result<Config, String> {
    Config::load(sources).map_err(|error| error.to_string())
}

fn print_openapi() -> Result<ExitCode, String> {
    let text = doorbuster::http::document().to_pretty_json();
    println!("{}", text.map_err(|error| error.to_string())?);
    Ok(ExitCode::SUCCESS)
}

fn services(data: &std::path::Path) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let served = runtime.block_on(embedded::serve_until_stdin_closes(data));
    // Standard input may still be read by a thread that nobody can stop.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS).map_err(|error| error.to_string())
}
