//! A chart as SVG: complete without scripts, named for those who do not see it.

use super::markup::esc;
use super::scale::Scale;
use std::fmt::Write;

const LEFT: f64 = 76.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 42.0;
/// Fewer points than this are marked, so that a line of one point is seen.
const MARKED_MAX: usize = 40;

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Style {
    /// From point to point; a missing one leaves a gap.
    Line,
    /// The same, with dashes: what was planned, or an earlier run.
    Dashed,
    /// A column for each second, without gaps between them.
    Columns,
    /// The upper edge of such columns.
    Steps,
}

/// One thing that is drawn.
pub struct Series {
    /// For the legend; markup is escaped.
    pub name: String,
    /// The number of its colour.
    pub colour: usize,
    /// How it is drawn.
    pub style: Style,
    /// Where; `None` where it is not known.
    pub points: Vec<(f64, Option<f64>)>,
}

/// What one place of the horizontal axis shows when pointed at.
pub struct Spot {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// What it says.
    pub text: String,
}

/// A chart.
pub struct Chart {
    /// What is shown, for those who do not see it.
    pub label: String,
    /// The horizontal axis, and what it measures.
    pub x: (Scale, &'static str),
    /// The vertical axis, and what it measures.
    pub y: (Scale, &'static str),
    /// Width and height in pixels, at full size.
    pub size: (f64, f64),
    /// What is drawn, the last one on top.
    pub series: Vec<Series>,
    /// What can be pointed at.
    pub spots: Vec<Spot>,
}

impl Chart {
    /// The chart and its legend.
    pub fn draw(&self) -> String {
        let (width, height) = self.size;
        let mut svg = self.legend();
        let label = esc(&self.label);
        let _ = write!(
            svg,
            "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"{label}\">"
        );
        self.grid(&mut svg);
        for series in &self.series {
            self.series(&mut svg, series);
        }
        self.spots(&mut svg);
        svg.push_str("</svg>");
        svg
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.0.place(value) * (self.size.0 - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let height = self.size.1 - TOP - BOTTOM;
        TOP + (1.0 - self.y.0.place(value)) * height
    }

    fn legend(&self) -> String {
        let mut html = "<ul class=\"legend\">".to_owned();
        for series in &self.series {
            let class = match series.style {
                Style::Line => "line",
                Style::Dashed | Style::Steps => "dashed",
                Style::Columns => "box",
            };
            let (colour, name) = (series.colour, esc(&series.name));
            let _ = write!(
                html,
                "<li><svg class=\"key\" viewBox=\"0 0 22 10\" aria-hidden=\"true\">\
                 <path class=\"{class} c{colour}\" d=\"{}\"/></svg>{name}</li>",
                if class == "box" { "M5 0h12v10h-12Z" } else { "M1 5H21" }
            );
        }
        html.push_str("</ul>");
        html
    }

    fn grid(&self, svg: &mut String) {
        let (width, height) = self.size;
        let (right, bottom) = (width - RIGHT, height - BOTTOM);
        for value in self.y.0.minor() {
            let y = self.y(value);
            let _ = write!(svg, "<path class=\"minor\" d=\"M{LEFT} {y:.1}H{right}\"/>");
        }
        for (value, name) in self.y.0.ticks() {
            let (y, x, name) = (self.y(value), LEFT - 8.0, esc(name));
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>\
                 <text class=\"tick end\" x=\"{x}\" y=\"{:.1}\">{name}</text>",
                y + 4.0
            );
        }
        for (value, name) in self.x.0.ticks() {
            let (x, name) = (self.x(value), esc(name));
            let _ = write!(
                svg,
                "<path class=\"axis\" d=\"M{x:.1} {bottom}v5\"/>\
                 <text class=\"tick middle\" x=\"{x:.1}\" y=\"{}\">{name}</text>",
                bottom + 18.0
            );
        }
        let middle = LEFT + (width - LEFT - RIGHT) / 2.0;
        let _ = write!(
            svg,
            "<path class=\"axis\" d=\"M{LEFT} {bottom}H{right}\"/>\
             <text class=\"unit middle\" x=\"{middle:.1}\" y=\"{}\">{}</text>",
            height - 6.0,
            esc(self.x.1)
        );
        let half = TOP + (bottom - TOP) / 2.0;
        let _ = write!(
            svg,
            "<text class=\"unit middle\" transform=\"translate(12 {half:.1}) rotate(-90)\">{}\
             </text>",
            esc(self.y.1)
        );
    }

    fn series(&self, svg: &mut String, series: &Series) {
        let colour = series.colour;
        let (class, path) = match series.style {
            Style::Line => ("line", self.line(&series.points)),
            Style::Dashed => ("dashed", self.line(&series.points)),
            Style::Columns => ("box", self.columns(&series.points, true)),
            Style::Steps => ("dashed", self.columns(&series.points, false)),
        };
        if !path.is_empty() {
            let _ = write!(svg, "<path class=\"{class} c{colour}\" d=\"{path}\"/>");
        }
        if series.style == Style::Line && series.points.len() <= MARKED_MAX {
            for (at, value) in &series.points {
                let Some(value) = value else { continue };
                let (x, y) = (self.x(*at), self.y(*value));
                let _ = write!(
                    svg,
                    "<circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.4\"/>"
                );
            }
        }
    }

    fn line(&self, points: &[(f64, Option<f64>)]) -> String {
        let mut path = String::new();
        let mut is_down = false;
        for (at, value) in points {
            if let Some(value) = value {
                let command = if is_down { 'L' } else { 'M' };
                let _ = write!(path, "{command}{:.1} {:.1}", self.x(*at), self.y(*value));
            }
            is_down = value.is_some();
        }
        path
    }

    /// Each point is the beginning of a column that reaches to the next one.
    fn columns(&self, points: &[(f64, Option<f64>)], close: bool) -> String {
        let mut path = String::new();
        let zero = self.y(0.0);
        for (n, (at, value)) in points.iter().enumerate() {
            let end = points.get(n + 1).map_or(at + 1.0, |(next, _)| *next);
            let (from, to, y) = (self.x(*at), self.x(end), self.y(value.unwrap_or(0.0)));
            if n == 0 {
                let _ = write!(path, "M{from:.1} {:.1}", if close { zero } else { y });
            }
            let _ = write!(path, "V{y:.1}H{to:.1}");
        }
        if close && !path.is_empty() {
            let _ = write!(path, "V{zero:.1}Z");
        }
        path
    }

    fn spots(&self, svg: &mut String) {
        let bottom = self.size.1 - BOTTOM;
        for spot in &self.spots {
            let (from, to) = (self.x(spot.from), self.x(spot.to));
            let (middle, width) = ((from + to) / 2.0, (to - from).max(0.5));
            let _ = write!(
                svg,
                "<g class=\"spot\"><title>{}</title><rect x=\"{from:.1}\" y=\"{TOP}\" \
                 width=\"{width:.1}\" height=\"{:.1}\"/><path d=\"M{middle:.1} {TOP}V{bottom}\"/>\
                 </g>",
                esc(&spot.text),
                bottom - TOP
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, Option<f64>)>, style: Style) -> Chart {
        Chart {
            label: "a <b> & \"c\"".to_owned(),
            x: (Scale::Seconds(4.0), "s"),
            y: (Scale::Linear(0.0, 10.0), "ms"),
            size: (LEFT + RIGHT + 400.0, TOP + BOTTOM + 100.0),
            series: vec![Series { name: "n".to_owned(), colour: 0, style, points }],
            spots: Vec::new(),
        }
    }

    #[test]
    fn a_missing_point_leaves_a_gap_in_the_line() {
        let points = vec![(0.0, Some(0.0)), (1.0, None), (2.0, Some(10.0)), (3.0, Some(5.0))];
        let svg = chart(points, Style::Line).draw();
        assert!(svg.contains("M76.0 114.0M276.0 14.0L376.0 64.0"), "{svg}");
        assert!(svg.contains("aria-label=\"a &lt;b&gt; &amp; &quot;c&quot;\""), "{svg}");
    }

    #[test]
    fn columns_reach_from_second_to_second() {
        let svg = chart(vec![(0.0, Some(5.0)), (1.0, Some(10.0))], Style::Columns).draw();
        assert!(svg.contains("M76.0 114.0V64.0H176.0V14.0H276.0V114.0Z"), "{svg}");
    }
}
