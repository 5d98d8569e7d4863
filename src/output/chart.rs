//! Pictures, as SVG.

use super::html::escape;

/// A picture of one number a layer.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// How.
    pub kind: ChartKind,
    /// In the model's order.
    pub points: Vec<Point>,
}

/// How a chart is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChartKind {
    /// A bar a point, its length the value.
    Bars,
    /// A line that climbs from point to point.
    Steps,
}

/// A point of a chart.
#[derive(Clone, Debug)]
pub struct Point {
    /// What it belongs to.
    pub label: String,
    /// Its value.
    pub value: f64,
    /// Its value in words.
    pub shown: String,
}

/// Width of a picture, in its own units.
const WIDTH: f64 = 960.0;
/// Bars beyond the largest so many are summed up.
const BARS: usize = 60;

impl Chart {
    /// The chart as an `<svg>` element.
    pub fn svg(&self) -> String {
        match self.kind {
            ChartKind::Bars => self.bars(),
            ChartKind::Steps => self.steps(),
        }
    }

    fn bars(&self) -> String {
        const ROW: f64 = 18.0;
        const LABEL: f64 = 280.0;
        const VALUE: f64 = 90.0;
        let mut largest: Vec<usize> = (0..self.points.len()).collect();
        largest.sort_by(|&a, &b| self.points[b].value.total_cmp(&self.points[a].value));
        largest.truncate(BARS);
        largest.sort_unstable();
        let most = self.points.iter().map(|p| p.value).fold(0.0, f64::max);
        let height = largest.len() as f64 * ROW + 4.0;
        let mut out = open(height, &self.title);
        for (row, &i) in largest.iter().enumerate() {
            let point = &self.points[i];
            let length =
                (WIDTH - LABEL - VALUE) * if most > 0.0 { point.value / most } else { 0.0 };
            let y = row as f64 * ROW;
            let (label, shown) = (escape(&point.label), escape(&point.shown));
            out.push_str(&format!(
                "<g><title>{label}: {shown}</title>\
                 <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{LABEL:.0}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{:.0}\" rx=\"2\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{shown}</text></g>",
                LABEL - 8.0,
                y + 13.0,
                escape(&tail(&point.label, 40)),
                y + 2.0,
                ROW - 5.0,
                LABEL + length + 6.0,
                y + 13.0,
            ));
        }
        out.push_str("</svg>");
        out
    }

    fn steps(&self) -> String {
        const HEIGHT: f64 = 220.0;
        const LEFT: f64 = 60.0;
        const BOTTOM: f64 = 20.0;
        let most = self.points.iter().map(|p| p.value).fold(1.0, f64::max);
        let across = (WIDTH - LEFT - 10.0) / self.points.len().max(1) as f64;
        let y = |value: f64| (HEIGHT - BOTTOM) - (HEIGHT - BOTTOM - 12.0) * value / most;
        let mut out = open(HEIGHT, &self.title);
        for share in [0.0, 0.5, 1.0] {
            let value = most * share;
            out.push_str(&format!(
                "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{0:.1}\" y2=\"{0:.1}\" class=\"grid\"/>\
                 <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{3}</text>",
                y(value),
                LEFT - 6.0,
                y(value) + 4.0,
                crate::units::plain(value.round()),
            ));
        }
        let mut path = String::new();
        for (i, point) in self.points.iter().enumerate() {
            let x = LEFT + i as f64 * across;
            let (start, end, height) = (x, x + across, y(point.value));
            let pen = if i == 0 { 'M' } else { 'L' };
            path.push_str(&format!("{pen}{start:.1} {height:.1}L{end:.1} {height:.1}"));
            out.push_str(&format!(
                "<rect x=\"{start:.1}\" y=\"0\" width=\"{across:.1}\" height=\"{:.0}\" class=\"hover\"><title>{}: {}</title></rect>",
                HEIGHT - BOTTOM,
                escape(&point.label),
                escape(&point.shown),
            ));
        }
        out.push_str(&format!("<path d=\"{path}\"/></svg>"));
        out
    }
}

fn open(height: f64, title: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">",
        escape(title)
    )
}

fn tail(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    std::iter::once('…')
        .chain(text.chars().skip(count - most + 1))
        .collect()
}
