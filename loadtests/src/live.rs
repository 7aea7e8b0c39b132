//! A run as it happens, for a terminal: stock falling, orders a second, latency, refusals.

use crate::client::{Connection, Request};
use crate::record::{Answer, Outcome, Record};
use crate::report::latency::Latencies;
use crate::supply::Office;
use anyhow::{Context, ensure};
use ratatui::crossterm::terminal::size;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Gauge, Paragraph, Sparkline};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Stdout, stdout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// How often the picture changes, and the stock is asked for.
const TICK: Duration = Duration::from_millis(200);
/// Lines that the picture takes.
const HEIGHT: u16 = 16;
/// Columns without which numbers are cut off.
const WIDTH_MIN: u16 = 76;

/// What was seen so far.
#[derive(Debug)]
struct Seen {
    run: String,
    requests: usize,
    started: Instant,
    acknowledged: u64,
    refused: BTreeMap<String, u64>,
    unknown: u64,
    again: u64,
    latency: Latencies,
    /// Of the last whole second, and of the one that is not over.
    last: Latencies,
    now: Latencies,
    /// Acknowledged in each second.
    seconds: Vec<u64>,
    /// Units that are left, and that were supplied.
    stock: Option<(i64, i64)>,
}

/// Takes the records of a run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Mutex<Seen>>);

/// A picture on the terminal, until it is finished.
#[derive(Debug)]
pub struct Live {
    feed: Feed,
    picture: JoinHandle<()>,
    over: oneshot::Sender<()>,
    stock: Option<JoinHandle<()>>,
}

impl Feed {
    fn new(run: &str, requests: usize) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(Seen {
            run: run.to_owned(),
            requests,
            started: Instant::now(),
            acknowledged: 0,
            refused: BTreeMap::new(),
            unknown: 0,
            again: 0,
            latency: Latencies::new()?,
            last: Latencies::new()?,
            now: Latencies::new()?,
            seconds: Vec::new(),
            stock: None,
        }))))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run begins now.
    pub fn begin(&self) {
        self.seen().started = Instant::now();
    }

    /// Adds a request that has come to its end.
    pub fn add(&self, record: &Record) {
        let mut seen = self.seen();
        let second = seen.turn();
        seen.again +=
            record.answers.iter().filter(|answer| answer.asks_to_retry()).count() as u64;
        let ending = record.ending();
        match ending.outcome {
            Outcome::Acknowledged => {
                seen.acknowledged += 1;
                seen.seconds[second] += 1;
                let us = record.timing.latency_us;
                // A histogram that grows takes any number.
                let _ = seen.latency.add(us).and_then(|()| seen.now.add(us));
            }
            Outcome::Refused => *seen.refused.entry(ending.label).or_default() += 1,
            Outcome::Unknown => seen.unknown += 1,
        }
    }
}

impl Seen {
    /// Goes on to the second that it is, also if nothing came; its number.
    fn turn(&mut self) -> usize {
        let second = self.started.elapsed().as_secs() as usize;
        while self.seconds.len() <= second {
            self.seconds.push(0);
            self.last = std::mem::replace(&mut self.now, self.last.empty());
        }
        second
    }

    fn answered(&self) -> u64 {
        self.acknowledged + self.refused.values().sum::<u64>() + self.unknown
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        self.turn();
        let rows = [Constraint::Length(1), Constraint::Length(3), Constraint::Length(12)];
        let [title, stock, below] = Layout::vertical(rows).areas(frame.area());
        let halves = [Constraint::Percentage(60), Constraint::Percentage(40)];
        let [left, answers] = Layout::horizontal(halves).areas(below);
        let rows = [Constraint::Length(7), Constraint::Length(5)];
        let [orders, latency] = Layout::vertical(rows).areas(left);
        let elapsed = self.started.elapsed().as_secs_f64();
        let line = format!(" {}   {elapsed:.1} s", self.run);
        frame.render_widget(Line::from(line).bold(), title);
        self.draw_stock(frame, stock);
        let rates = &self.seconds;
        let shown = rates.len().saturating_sub(usize::from(orders.width.saturating_sub(2)));
        let now = rates.len().checked_sub(2).map_or(0, |n| rates[n]);
        let sparkline = Sparkline::default()
            .block(Block::bordered().title(format!(" orders a second: {now} ")))
            .style(Style::new().fg(Color::Green))
            .data(&rates[shown..]);
        frame.render_widget(sparkline, orders);
        self.draw_latency(frame, latency);
        self.draw_answers(frame, answers);
    }

    fn draw_stock(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::bordered();
        let (title, ratio, label) = match self.stock {
            Some((left, supplied)) => {
                let ratio = left as f64 / supplied.max(1) as f64;
                (" stock ", ratio, format!("{left} of {supplied} left"))
            }
            None => {
                let ratio = self.answered() as f64 / self.requests.max(1) as f64;
                (" answered ", ratio, format!("{} of {}", self.answered(), self.requests))
            }
        };
        let colour = if ratio > 0.1 { Color::Cyan } else { Color::Red };
        let gauge = Gauge::default()
            .block(block.title(title))
            .gauge_style(Style::new().fg(colour))
            .ratio(ratio.clamp(0.0, 1.0))
            .label(label);
        frame.render_widget(gauge, area);
    }

    fn draw_latency(&self, frame: &mut Frame<'_>, area: Rect) {
        let row = |name: &str, latency: &Latencies| {
            let of = latency.percentiles();
            let values = [of.p50_ms, of.p99_ms, of.max_ms].map(|ms| match of.count {
                0 => "–".to_owned(),
                _ => format!("{ms:.1}"),
            });
            let [p50, p99, max] = values;
            Line::from(format!("{name:12}{p50:>9}{p99:>9}{max:>9}"))
        };
        let lines = vec![
            Line::from(format!("{:12}{:>9}{:>9}{:>9}", "", "p50", "p99", "max")).dim(),
            row("last second", &self.last),
            row("whole run", &self.latency),
        ];
        let block = Block::bordered().title(" until acknowledged, ms ");
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }

    fn draw_answers(&self, frame: &mut Frame<'_>, area: Rect) {
        let row = |name: &str, count: u64| Line::from(format!("{name:20.20}{count:>9}"));
        let mut lines = vec![row("acknowledged", self.acknowledged).fg(Color::Green)];
        lines.extend(self.refused.iter().map(|(label, count)| row(label, *count)));
        if self.again > 0 {
            lines.push(row("asked to come again", self.again).fg(Color::Yellow));
        }
        if self.unknown > 0 {
            lines.push(row("no final answer", self.unknown).fg(Color::Red));
        }
        let left = (self.requests as u64).saturating_sub(self.answered());
        lines.push(row("to come", left).dim());
        let block = Block::bordered().title(" answers ");
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }
}

impl Live {
    /// Draws what it is fed, below what stands on the terminal; an error if that cannot be drawn
    /// on, or is too small.
    pub fn start(run: &str, requests: usize) -> anyhow::Result<Self> {
        ensure!(stdout().is_terminal(), "this is no terminal");
        let (columns, lines) = size().context("how large is this terminal?")?;
        let fits = columns >= WIDTH_MIN && lines > HEIGHT;
        ensure!(
            fits,
            "this terminal is smaller than {WIDTH_MIN} columns and {} lines",
            HEIGHT + 1
        );
        let feed = Feed::new(run, requests)?;
        let (over, is_over) = oneshot::channel();
        let picture = tokio::spawn(show(open()?, feed.clone(), is_over));
        Ok(Self { feed, picture, over, stock: None })
    }

    /// Where records go.
    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Asks for the stock of a SKU all the while, as staff would.
    pub fn watch_stock(&mut self, office: Office<'_>, sku: &str, supplied: i64) {
        let bases = office.instances.urls.clone();
        let path = format!("/v1/admin/stock/levels?sku={sku}");
        let request = Request::get(path).by(office.admin_key);
        let feed = self.feed();
        feed.seen().stock = Some((supplied, supplied));
        self.stock = Some(tokio::spawn(async move {
            // One of them may be killed on the way.
            for base in bases.iter().cycle() {
                let mut connection = Connection::new(base.clone());
                while let Ok(answer) = connection.send(&request, Duration::from_secs(2)).await {
                    if let Some(left) = available(&answer) {
                        feed.seen().stock = Some((left, supplied));
                    }
                    sleep(TICK).await;
                }
                sleep(TICK).await;
            }
        }));
    }

    /// Leaves the last picture where it is.
    pub async fn finish(self) {
        // Until the stock that is left has been asked for.
        sleep(2 * TICK).await;
        self.stock.iter().for_each(JoinHandle::abort);
        // Neither fails unless the picture is gone already.
        let _ = self.over.send(());
        let _ = self.picture.await;
    }
}

/// Draws until it is over, and leaves the cursor below.  What cannot be drawn is missing from the
/// picture alone.
async fn show(mut terminal: Screen, feed: Feed, mut is_over: oneshot::Receiver<()>) {
    let mut bottom = 0;
    let mut draw = || {
        let drawn = terminal.draw(|frame| {
            bottom = frame.area().bottom();
            feed.seen().draw(frame);
        });
        let _ = drawn;
    };
    while timeout(TICK, &mut is_over).await.is_err() {
        draw();
    }
    draw();
    let _ = terminal.set_cursor_position((0, bottom.saturating_sub(1)));
    let _ = terminal.show_cursor();
    println!();
}

fn available(answer: &Answer) -> Option<i64> {
    #[derive(Deserialize)]
    struct Level {
        available: i64,
    }
    #[derive(Deserialize)]
    struct Levels {
        items: Vec<Level>,
    }
    let levels: Levels = serde_json::from_slice(&answer.body).ok()?;
    Some(levels.items.iter().map(|level| level.available).sum())
}

type Screen = Terminal<ratatui::backend::CrosstermBackend<Stdout>>;

fn open() -> anyhow::Result<Screen> {
    let options = TerminalOptions { viewport: Viewport::Inline(HEIGHT) };
    let backend = ratatui::backend::CrosstermBackend::new(stdout());
    Terminal::with_options(backend, options).context("cannot draw on this terminal")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Timing;
    use bytes::Bytes;
    use ratatui::backend::TestBackend;

    #[test]
    fn the_picture_says_what_was_sold_refused_and_left() {
        let feed = Feed::new("rush-1", 500).unwrap();
        let record = |status: u16, body: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            let answers = vec![Answer { status, body, ..Answer::default() }];
            let timing = Timing { latency_us: 7_000, ..Timing::default() };
            Record { answers, timing, ..Record::default() }
        };
        for _ in 0..120 {
            feed.add(&record(201, "{}"));
            feed.add(&record(409, r#"{"code":"out_of_stock"}"#));
        }
        feed.add(&Record::default());
        feed.seen().stock = Some((80, 200));
        let mut terminal = Terminal::new(TestBackend::new(80, HEIGHT)).unwrap();
        terminal.draw(|frame| feed.seen().draw(frame)).unwrap();
        let picture = terminal.backend().to_string();
        for part in ["rush-1", "80 of 200 left", "409 out_of_stock", "no final answer", "7.0"] {
            assert!(picture.contains(part), "{part} is not in\n{picture}");
        }
        let count = |name: &str| {
            let line = picture.lines().find(|line| line.contains(name)).unwrap();
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric()).collect();
            words.iter().filter_map(|word| word.parse::<u64>().ok()).next_back().unwrap()
        };
        assert_eq!((count("acknowledged  "), count("to come")), (120, 259));
    }
}
