//! A few lines and words of SVG.

use std::fmt::Write;

/// A drawing of a fixed size, in the units of the page.
#[derive(Debug)]
pub(crate) struct Svg {
    body: String,
    width: f64,
    height: f64,
}

/// Where a text stands in relation to its point.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(crate) fn new(width: f64, height: f64) -> Svg {
        Svg { body: String::new(), width, height }
    }

    /// A straight line; `class` says how it looks.
    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    /// A line through points, with a title that shows when the pointer rests on it.
    pub(crate) fn path(&mut self, class: &str, points: &[(f64, f64)], title: &str) {
        self.through("polyline", class, points, title);
    }

    /// A filled shape, with a title that shows when the pointer rests on it.
    pub(crate) fn area(&mut self, class: &str, points: &[(f64, f64)], title: &str) {
        self.through("polygon", class, points, title);
    }

    fn through(&mut self, element: &str, class: &str, points: &[(f64, f64)], title: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let (points, title) = (points.join(" "), escape(title));
        self.add(format_args!(
            r#"<{element} class="{class}" points="{points}"><title>{title}</title></{element}>"#
        ));
    }

    /// A dot with a title.
    pub(crate) fn dot(&mut self, class: &str, (x, y): (f64, f64), title: &str) {
        let title = escape(title);
        self.add(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="4"><title>{title}</title></circle>"#
        ));
    }

    /// A text.
    pub(crate) fn text(&mut self, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        self.add(format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.body, "{element}").expect("a string takes everything");
    }

    /// The whole drawing, as a part of a page.
    pub(crate) fn end(self) -> String {
        let Svg { body, width, height } = self;
        format!(
            "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
             {body}</svg>\n"
        )
    }

    /// The whole drawing, as a file of its own.
    pub(crate) fn file(self, style: &str) -> String {
        let Svg { body, width, height } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
             <style>\n{style}</style>\n{body}</svg>\n"
        )
    }
}

/// Text as it stands in HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Where a number stands on a logarithmic scale from `low` to `high`, from 0 to 1.
pub(crate) fn log_place(number: f64, low: f64, high: f64) -> f64 {
    let place = (number.max(1e-12) / low).ln() / (high / low).ln();
    if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_find_their_places() {
        assert!((log_place(10.0, 1.0, 100.0) - 0.5).abs() < 1e-9);
        assert_eq!((log_place(0.0, 1.0, 100.0), log_place(1e9, 1.0, 100.0)), (0.0, 1.0));
        assert_eq!(log_place(1.0, 1.0, 1.0), 0.0);
    }

    #[test]
    fn what_is_drawn_is_escaped() {
        let mut svg = Svg::new(10.0, 20.0);
        svg.text(Anchor::Middle, (1.0, 2.0), "a < b & \"c\"");
        svg.dot("esker", (1.0, 2.0), "<");
        let text = svg.end();
        assert!(
            text.contains("a &lt; b &amp; &quot;c&quot;") && text.contains("<title>&lt;</title>"),
            "{text}"
        );
        assert!(text.starts_with("<svg viewBox=\"0 0 10 20\"") && text.ends_with("</svg>\n"), "{text}");
    }
}
