//! The chart for the README: CPU per request as a share of HAProxy's.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::peer::Kind;
use crate::rounds::Outcome;

/// Draws grouped bars, one group per work; the figure on a bar is its µs.
pub(crate) fn draw(outcome: &Outcome, path: &Path) -> Result<(), String> {
    paint(outcome, path).map_err(|error| error.to_string())
}

fn paint(outcome: &Outcome, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let kinds: Vec<Kind> = outcome.peers.iter().map(|(kind, _)| *kind).collect();
    let share = |work: usize, kind| {
        let row = &outcome.rows[work];
        Some(
            100.0 * row.cpu_us(kind)?.median
                / row
                    .cpu_us(Kind::Haproxy)
                    .or_else(|| row.cpu_us(kinds[0]))?
                    .median,
        )
    };
    let works = outcome.rows.len();
    let highest = (0..works)
        .flat_map(|w| kinds.iter().filter_map(move |k| share(w, *k)))
        .fold(100.0, f64::max);

    let root = SVGBackend::new(path, (1100, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(
            "CPU time of the proxy per request (HAProxy = 100 %; figures in µs)",
            ("sans-serif", 18),
        )
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..works as f64, 0.0..highest * 1.2)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(WHITE)
        .y_label_formatter(&|percent| format!("{percent:.0} %"))
        .draw()?;

    let bar = 0.84 / kinds.len() as f64;
    for (place, &kind) in kinds.iter().enumerate() {
        let color = color(kind);
        let bars = (0..works).filter_map(|work| {
            let left = work as f64 + 0.08 + place as f64 * bar;
            Some(Rectangle::new(
                [(left, 0.0), (left + bar * 0.92, share(work, kind)?)],
                color.filled(),
            ))
        });
        chart
            .draw_series(bars)?
            .label(kind.name())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
        let figure = ("sans-serif", 11)
            .into_font()
            .color(&BLACK)
            .pos(Pos::new(HPos::Center, VPos::Bottom));
        chart.draw_series((0..works).filter_map(|work| {
            let us = outcome.rows[work].cpu_us(kind)?.median;
            let text = if us < 100.0 {
                format!("{us:.1}")
            } else {
                format!("{us:.0}")
            };
            let middle = work as f64 + 0.08 + (place as f64 + 0.46) * bar;
            Some(Text::new(
                text,
                (middle, share(work, kind)? + 1.0),
                figure.clone(),
            ))
        }))?;
    }
    let title = ("sans-serif", 12)
        .into_font()
        .color(&BLACK)
        .pos(Pos::new(HPos::Center, VPos::Top));
    chart.draw_series(outcome.rows.iter().enumerate().map(|(work, row)| {
        EmptyElement::at((work as f64 + 0.5, 0.0))
            + Text::new(row.work.title, (0, 8), title.clone())
    }))?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.9))
        .draw()?;
    root.present()?;
    Ok(())
}

fn color(kind: Kind) -> RGBColor {
    match kind {
        Kind::Rlb => RGBColor(0xd0, 0x4a, 0x1e),
        Kind::Rlb2 => RGBColor(0xe8, 0x9c, 0x7c),
        Kind::Haproxy => RGBColor(0x3b, 0x6e, 0xa8),
        Kind::Nginx => RGBColor(0x4f, 0x9d, 0x69),
        Kind::Relay => RGBColor(0xb0, 0xb0, 0xb0),
    }
}
