//! The tables, as Markdown that also reads well on a terminal.

use std::fmt::Write as _;

use crate::args::Args;
use crate::host;
use crate::load::CONNECTIONS;
use crate::peer::{Kind, Site};
use crate::rounds::{Outcome, Row, Sample};
use crate::stats::Spread;

/// The whole report of a run.
pub(crate) fn markdown(args: &Args, site: &Site<'_>, outcome: &Outcome) -> String {
    let kinds: Vec<Kind> = outcome.peers.iter().map(|(kind, _)| *kind).collect();
    let mut text = format!(
        "# CPU per request, side by side\n\n\
         µs of CPU (user + system, whole process tree) per answered request: median (min-max) of {} rounds of {} s,\n\
         proxies taking turns within a round; {CONNECTIONS} connections, proxy alone on one core, load and origin on another.\n\n",
        args.rounds() - 1,
        args.seconds(),
    );
    text += &cpu_table(outcome, &kinds);
    if let [base, others @ ..] = kinds.as_slice()
        && !others.is_empty()
    {
        let _ = writeln!(
            text,
            "\n## {} as a share of its peers, round by round\n",
            base.name()
        );
        text += &ratio_table(outcome, *base, others);
    }
    text += "\n## p99 latency, requests per second, errors\n\n";
    text += &latency_table(outcome, &kinds);
    text += "\n## Conditions\n\n";
    text += &conditions(site, outcome);
    text
}

/// A Markdown table with padded columns.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell: &String| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0).max(3))
        .collect();
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        for (cell, &width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text += "|\n";
        if i == 0 {
            for &width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text += "|\n";
        }
    }
    text
}

fn cpu_table(outcome: &Outcome, kinds: &[Kind]) -> String {
    let mut rows = vec![header("work", kinds)];
    for row in &outcome.rows {
        let cells = kinds.iter().map(|kind| cell(row.cpu_us(*kind)));
        rows.push(
            std::iter::once(row.work.title.to_owned())
                .chain(cells)
                .collect(),
        );
    }
    table(&rows)
}

fn ratio_table(outcome: &Outcome, base: Kind, others: &[Kind]) -> String {
    let mut head = header("work", others);
    if base == Kind::Rlb {
        head.push("budget".to_owned());
    }
    let mut rows = vec![head];
    for row in &outcome.rows {
        let mut cells = vec![row.work.title.to_owned()];
        for other in others {
            cells.push(
                row.ratio(base, *other)
                    .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            );
        }
        if base == Kind::Rlb {
            cells.push(budget(row));
        }
        rows.push(cells);
    }
    table(&rows)
}

/// How a work's ratios stand to PERFORMANCE's budget: the worst word wins.
fn budget(row: &Row) -> String {
    let mut measured = 0;
    let mut missed = Vec::new();
    let mut short_of_aim = Vec::new();
    for goal in row.work.budget {
        let Some(ratio) = row.ratio(Kind::Rlb, goal.against) else {
            continue;
        };
        measured += 1;
        if ratio.median > goal.must {
            missed.push(format!("{} > {:.2}", goal.against.name(), goal.must));
        } else if ratio.median > goal.aim {
            short_of_aim.push(format!("{} {:.2}", goal.against.name(), goal.aim));
        }
    }
    if measured == 0 {
        "-".to_owned()
    } else if !missed.is_empty() {
        format!("MISSED: {}", missed.join(", "))
    } else if !short_of_aim.is_empty() {
        format!("met; aim is {}", short_of_aim.join(", "))
    } else {
        "met, aim too".to_owned()
    }
}

fn latency_table(outcome: &Outcome, kinds: &[Kind]) -> String {
    let mut rows = vec![header("work", kinds)];
    for row in &outcome.rows {
        let mut cells = vec![row.work.title.to_owned()];
        for &kind in kinds {
            let Some(kept) = row.kept(kind) else {
                cells.push("-".to_owned());
                continue;
            };
            let median =
                |of: fn(&Sample) -> f64| Spread::of(kept.iter().map(of)).map_or(0.0, |s| s.median);
            let p99 = Spread::of(kept.iter().filter_map(|sample| sample.seen.p99_ms));
            cells.push(format!(
                "{}, {:.0}/s, {}",
                p99.map_or_else(|| "-".to_owned(), |p99| format!("{:.1} ms", p99.median)),
                median(|sample| sample.seen.per_second),
                row.errors(kind),
            ));
        }
        rows.push(cells);
    }
    table(&rows)
}

fn conditions(site: &Site<'_>, outcome: &Outcome) -> String {
    let mut text = String::new();
    for (kind, version) in &outcome.peers {
        let _ = writeln!(text, "- {}: {version}", kind.name());
    }
    let _ = writeln!(
        text,
        "- load: {}; origin: nginx on four ports",
        outcome.load_version
    );
    let _ = writeln!(
        text,
        "- {}; proxy on core {}, load and origin on core {}",
        host::describe(),
        site.cores.proxy,
        site.cores.load
    );
    let percent =
        |of: fn(&Sample) -> f64| Spread::of(outcome.samples().map(|sample| 100.0 * of(sample)));
    if let (Some(foreign), Some(clocks)) = (percent(|s| s.foreign), percent(|s| s.clocks)) {
        let _ = writeln!(
            text,
            "- noise: load average {} before the run; others took {foreign:.1} % of the proxy's core during a round",
            outcome.load_before,
        );
        let _ = writeln!(
            text,
            "- clocks: CPU from schedstat (ns); stat's ticks say {clocks:.1} % of it"
        );
        if foreign.median > NOISY_PERCENT {
            let _ = writeln!(
                text,
                "- NOISY: other work ran on this machine; quote ratios only, or run again"
            );
        }
    }
    text
}

fn header(first: &str, kinds: &[Kind]) -> Vec<String> {
    std::iter::once(first)
        .chain(kinds.iter().map(|kind| kind.name()))
        .map(str::to_owned)
        .collect()
}

fn cell(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| spread.to_string())
}

/// Above this share of a foreign load on the proxy's core a run should not be quoted.
const NOISY_PERCENT: f64 = 5.0;
