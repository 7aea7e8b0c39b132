//! Tables that grow with orders, cut by time: `doorbuster partitions`.
//!
//! A shop that is not large needs none of it, and the server reads and writes the same names either
//! way. It is run by the owner of the schema, once a day, because whoever serves makes no tables.
//! Nobody waits for it for longer than a moment: a table becomes a partition of a new one as it is,
//! once a constraint says that all its rows come before the new ones. What has no partition lies in
//! one for everything else, so orders never depend on its having been run.

mod store;

use crate::config::{self, Retention};
use crate::postgres::Postgres;
use crate::query::first_id;
use std::time::Duration;
use store::Part;
use time::Date;
use tokio_postgres::Client;

/// Partitions that are made ahead: of months …
const MONTHS_AHEAD: i32 = 3;
/// … and of days.
const DAYS_AHEAD: i64 = 14;

/// How far back the end of a partition is looked for: a hundred years.
const MONTHS_KEPT_MAX: i32 = 1_200;

/// What is younger is not archived.
const YOUNG: Duration = Duration::from_secs(31 * DAY);

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// A table that grows with orders.
#[derive(Debug, Clone, Copy)]
pub struct Growth {
    /// Its name.
    pub table: &'static str,
    /// What tells the time of its rows.
    pub by: By,
    /// What becomes of its old rows.
    pub end: End,
}

/// The column that tells the time of a row.
#[derive(Debug, Clone, Copy)]
pub enum By {
    /// A UUID of version 7.
    Id(&'static str),
    /// A time.
    Time(&'static str),
}

impl By {
    fn column(self) -> &'static str {
        match self {
            By::Id(column) | By::Time(column) => column,
        }
    }

    /// The first value of a day.
    fn first_of(self, day: Date) -> String {
        match self {
            By::Id(_) => first_id(day.midnight().assume_utc()).to_string(),
            By::Time(_) => format!("{day} 00:00:00+00"),
        }
    }
}

/// What becomes of old rows.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// A partition of a month stays until it is archived.
    Archived(Archival),
    /// A partition of a day is dropped after so long.
    Dropped(fn(&config::Retention) -> Duration),
}

/// What has to be seen to when partitions are archived. In the SQL `:orders` stands for what leaves
/// of the table `orders`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Archival {
    /// Columns that must not change while the sums are made.
    pub moves: Option<&'static str>,
    /// A query for a sentence why they cannot leave, or null.
    pub unfinished: Option<&'static str>,
    /// Statements that keep what must be known of them.
    pub carry: Option<&'static str>,
}

impl Growth {
    fn archival(&self) -> Archival {
        match self.end {
            End::Archived(archival) => archival,
            End::Dropped(_) => Archival::default(),
        }
    }

    /// The name of the partition that begins with this day, and the day after its last.
    fn part(&self, first: Date) -> Result<(String, Date), String> {
        let (table, year, month) = (self.table, first.year(), u8::from(first.month()));
        Ok(match self.end {
            End::Archived(_) => (format!("{table}_{year}_{month:02}"), months_after(first, 1)?),
            End::Dropped(_) => {
                let name = format!("{table}_{year}_{month:02}_{:02}", first.day());
                (name, first.next_day().ok_or(NO_DAY)?)
            }
        })
    }

    /// The days that end the partitions, the last one first: months before this day.
    fn ends(&self, parts: &[Part], before: Date) -> Result<Vec<Date>, String> {
        let days = (0..MONTHS_KEPT_MAX).map(|months| months_after(before, -months));
        let is_end = |day: Date| parts.iter().any(|part| part.bound == self.by.first_of(day));
        let ends: Vec<Date> = days
            .filter(|day| day.as_ref().is_ok_and(|day| is_end(*day)))
            .collect::<Result<_, _>>()?;
        match ends.len() == parts.len() {
            true => Ok(ends),
            false => Err(format!("{} has partitions that are no months", self.table)),
        }
    }

    /// The day until which partitions are made ahead.
    fn ahead(&self, today: Date) -> Result<Date, String> {
        match self.end {
            End::Archived(_) => months_after(today, MONTHS_AHEAD + 1),
            End::Dropped(_) => today
                .checked_add(time::Duration::days(DAYS_AHEAD))
                .ok_or_else(|| NO_DAY.to_owned()),
        }
    }
}

const NO_DAY: &str = "there is no such day";

/// The first day of the month, so many months later.
fn months_after(day: Date, months: i32) -> Result<Date, String> {
    let months = day.year() * 12 + i32::from(u8::from(day.month())) - 1 + months;
    let month = u8::try_from(months.rem_euclid(12) + 1).map_err(|_| NO_DAY)?;
    let month = time::Month::try_from(month).map_err(|_| NO_DAY)?;
    Date::from_calendar_date(months.div_euclid(12), month, 1).map_err(|_| NO_DAY.to_owned())
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Run {
    /// The tables.
    pub growths: Vec<Growth>,
    /// The settings of the instances.
    pub retention: config::Retention,
    /// By UTC.
    pub today: Date,
    /// The day before which months are archived, if they are to be.
    pub archive_before: Option<Date>,
}

impl Run {
    /// Divides the tables, if they are not yet; makes the partitions of the time that comes; drops
    /// those whose time is over; archives. Tells what it does. Errors are sentences for the
    /// operator.
    pub async fn go(&self, postgres: &Postgres, tell: impl Fn(&str)) -> Result<(), String> {
        if let Some(before) = self.archive_before {
            self.refuse_young(before)?;
        }
        let mut client = connect(postgres).await?;
        for growth in &self.growths {
            self.divide(&mut client, growth, &tell).await?;
            self.make_ahead(&mut client, growth, &tell).await?;
            self.drop_ended(&mut client, growth, &tell).await?;
        }
        match self.archive_before {
            Some(before) => self.archive(&mut client, before, &tell).await,
            None => Ok(()),
        }
    }

    async fn divide(
        &self,
        client: &mut Client,
        growth: &Growth,
        tell: &impl Fn(&str),
    ) -> Result<(), String> {
        let table = growth.table;
        if store::is_divided(client, table).await? {
            return Ok(());
        }
        // A month and more: whoever is interrupted before the table is divided has that time.
        let bound = months_after(self.today, 2)?;
        let value = growth.by.first_of(bound);
        tell(&format!("{table}: takes nothing from {bound} on until it is divided"));
        store::bound(client, growth, &value).await?;
        store::divide(client, growth, &value).await?;
        tell(&format!("{table}: divided; {table}_before has all before {bound}"));
        Ok(())
    }

    /// Makes the partitions that are missing behind the newest one there is. Only those of a time
    /// that is to come: rows of the present lie somewhere already.
    async fn make_ahead(
        &self,
        client: &mut Client,
        growth: &Growth,
        tell: &impl Fn(&str),
    ) -> Result<(), String> {
        let end = growth.ahead(self.today)?;
        let last = store::ended(client, growth, &growth.by.first_of(Date::MAX)).await?.pop();
        let mut first = match growth.end {
            End::Archived(_) => months_after(self.today, 1)?,
            End::Dropped(_) => self.today.next_day().ok_or(NO_DAY)?,
        };
        while first < end {
            let (name, next) = growth.part(first)?;
            let (value, bound) = (growth.by.first_of(first), growth.by.first_of(next));
            let part = Part { name, bound };
            // Texts of one form, so their order is that of the values.
            if last.as_ref().is_none_or(|last| last.bound <= value) {
                let is_made = store::add(client, growth, &part, &value).await?;
                tell(&match is_made {
                    true => format!("{}: made", part.name),
                    false => {
                        format!("{}: rows of it lie in {}_rest and stay", part.name, growth.table)
                    }
                });
            }
            first = next;
        }
        Ok(())
    }

    async fn drop_ended(
        &self,
        client: &mut Client,
        growth: &Growth,
        tell: &impl Fn(&str),
    ) -> Result<(), String> {
        let End::Dropped(keep) = growth.end else { return Ok(()) };
        if !self.retention.enabled {
            return Ok(());
        }
        let keep = keep(&self.retention);
        let over = self.today.midnight().assume_utc() - keep;
        for part in store::ended(client, growth, &growth.by.first_of(over.date())).await? {
            store::drop(client, growth, &part).await?;
            let hours = keep.as_secs() / 3600;
            tell(&format!("{}: dropped, because it is kept for {hours} hours", part.name));
        }
        Ok(())
    }

    /// Replies to keys and events still speak of what is young.
    fn refuse_young(&self, before: Date) -> Result<(), String> {
        let Retention { idempotency_keys, outbox, .. } = self.retention;
        let young = YOUNG.max(idempotency_keys).max(outbox);
        let soonest = before.midnight().assume_utc() + young;
        match soonest <= self.today.midnight().assume_utc() {
            true => Ok(()),
            false => Err(format!("what is younger than {} days stays", young.as_secs() / DAY)),
        }
    }

    /// Takes what is older than `before` out of the tables and into the schema `archive`: as much
    /// of it as whole months are.
    async fn archive(
        &self,
        client: &mut Client,
        before: Date,
        tell: &impl Fn(&str),
    ) -> Result<(), String> {
        let mut leaving = Vec::new();
        for growth in self.growths.iter().filter(|growth| matches!(growth.end, End::Archived(_)))
        {
            let parts = store::ended(client, growth, &growth.by.first_of(before)).await?;
            leaving.push((growth, parts));
        }
        let ends: Result<Vec<_>, _> =
            leaving.iter().map(|(growth, parts)| growth.ends(parts, before)).collect();
        let ends = ends?;
        // The partition before all others has all months before its end, and a run that was
        // interrupted may have divided some tables on an earlier day than others.
        let has = |(growth, parts): &(&Growth, Vec<Part>), ends: &Vec<Date>, day: &Date| {
            let is_before = |part: &Part| part.name == format!("{}_before", growth.table);
            ends.contains(day) || parts.first().is_some_and(is_before) && ends.last() >= Some(day)
        };
        let all_have =
            |day: &Date| leaving.iter().zip(&ends).all(|(of, ends)| has(of, ends, day));
        if !ends.iter().flatten().all(all_have) {
            return Err("the partitions of the tables end on different days".to_owned());
        }
        let Some(end) = ends.first().and_then(|ends| ends.first()) else {
            tell("No partition ends before that.");
            return Ok(());
        };
        store::archive(client, &leaving).await?;
        for part in leaving.iter().flat_map(|(_, parts)| parts) {
            tell(&format!("archive.{} has what was before {end}", part.name));
        }
        Ok(())
    }
}

async fn connect(postgres: &Postgres) -> Result<Client, String> {
    let mut client = postgres.connect().await?;
    store::begin(&mut client).await?;
    Ok(client)
}
