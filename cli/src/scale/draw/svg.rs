//! Drawings as SVG.

use std::fmt::Write as _;

use super::{Align, Canvas, Colour, Mark, Shape, style};

/// A text as it stands in XML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Canvas {
    /// As a file of its own, on white paper.
    pub fn svg_file(&self) -> String {
        let paper = format!(
            "<style>{}</style><rect width=\"100%\" height=\"100%\" class=\"paper\" fill=\"currentColor\"/>",
            style(false)
        );
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", self.element("plot", &paper))
    }

    /// As a part of a page that has the [`style`] of inks. Ids begin with `id`.
    pub fn svg(&self, id: &str) -> String {
        self.element(id, "")
    }

    fn element(&self, id: &str, first: &str) -> String {
        let (width, height) = self.size;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\" font-family=\"Ubuntu, system-ui, 'Segoe UI', sans-serif\">\
             <title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{}</desc>{first}\n",
            escape(&self.title),
            escape(&self.description)
        );
        self.marks.iter().for_each(|mark| svg.push_str(&element(mark)));
        svg.push_str("</svg>");
        svg
    }
}

fn element(mark: &Mark) -> String {
    let mut svg = String::new();
    let list =
        |points: &[(f64, f64)]| points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
    match mark {
        Mark::Line { points, colour, width, dash } => {
            let dash = dash.map_or(String::new(), |[on, off]| format!(" stroke-dasharray=\"{on} {off}\""));
            let _ = write!(
                svg,
                "<polyline points=\"{}\" class=\"{}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"{width}\"{dash}/>",
                list(points),
                colour.class()
            );
        }
        Mark::Area { points, colour, opacity, tip } => {
            let _ = write!(
                svg,
                "<polygon points=\"{}\" class=\"{}\" fill=\"currentColor\" fill-opacity=\"{opacity}\">{}</polygon>",
                list(points),
                colour.class(),
                title(tip)
            );
        }
        Mark::Dot { at, size, shape, colour, hollow, tip } => {
            // What is hollow shows the paper, and not the lines that go through it.
            let inside = if *hollow { Colour::Paper } else { *colour };
            for (class, paint) in [
                (inside, "fill=\"currentColor\"".to_owned()),
                (*colour, "fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\"".to_owned()),
            ] {
                let class = class.class();
                let tip = title(tip);
                let _ = match shape {
                    Shape::Circle => {
                        write!(
                            svg,
                            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{size}\" class=\"{class}\" {paint}>{tip}</circle>",
                            at.0, at.1
                        )
                    }
                    _ => write!(
                        svg,
                        "<polygon points=\"{}\" class=\"{class}\" {paint}>{tip}</polygon>",
                        list(&shape.corners(*at, *size))
                    ),
                };
            }
        }
        Mark::Text { at: (x, y), text, size, align, colour, turned } => {
            let anchor = match align {
                Align::Start => "start",
                Align::Middle => "middle",
                Align::End => "end",
            };
            let turn = if *turned { format!(" transform=\"rotate(-90 {x:.1} {y:.1})\"") } else { String::new() };
            let _ = write!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" class=\"{}\" \
                 fill=\"currentColor\"{turn}>{}</text>",
                colour.class(),
                escape(text)
            );
        }
    }
    svg.push('\n');
    svg
}

fn title(tip: &str) -> String {
    if tip.is_empty() { String::new() } else { format!("<title>{}</title>", escape(tip)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_cannot_break_out() {
        let mut canvas =
            Canvas { size: (10.0, 10.0), title: "a < b".into(), description: "\"&\"".into(), marks: Vec::new() };
        canvas.text((1.0, 2.0), "</text><script>", 9.0, Align::End, Colour::Series(7));
        let svg = canvas.svg_file();
        assert!(svg.contains("a &lt; b") && svg.contains("&quot;&amp;&quot;") && !svg.contains("<script>"), "{svg}");
        assert!(svg.contains("class=\"s1\"") && svg.contains(".s1{color:#"), "colours go round: {svg}");
    }
}
