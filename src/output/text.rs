//! Text for a terminal: aligned tables that fit its width.

use console::{Style as Paint, measure_text_width};

use super::{Align, Block, Cell, Column, Format, Report, Style, Table, Tone};

pub(super) static FORMAT: Format = Format {
    name: "text",
    what: "tables for people, fitted to the terminal",
    extensions: &["txt"],
    render,
};

/// Names are cut to this before columns are left out.
const NAME: usize = 24;
/// Names are never cut below this.
const SHORTEST_NAME: usize = 8;
/// Sentences are wrapped at this width at most.
const PARAGRAPH: usize = 100;
/// Between columns.
const GAP: &str = "  ";

fn render(report: &Report, style: &Style) -> String {
    let mut out = String::new();
    for (i, block) in report.blocks.iter().enumerate() {
        let after_table = i > 0 && matches!(report.blocks[i - 1], Block::Table(_));
        if !out.is_empty()
            && (after_table || matches!(block, Block::Heading(_) | Block::Table(_)))
            && !matches!(block, Block::Chart(_))
        {
            out.push('\n');
        }
        match block {
            Block::Heading(text) => {
                let text = middle(&printable(text), style.width);
                out.push_str(&paint(style, &text, |p| p.bold()));
                out.push('\n');
            }
            Block::Facts(facts) => {
                let label = facts.iter().map(|f| f.0.len()).max().unwrap_or(0);
                let room = style.width.saturating_sub(label + GAP.len());
                for (name, value) in facts {
                    for (i, line) in wrapped(value, room).into_iter().enumerate() {
                        let name = if i == 0 { *name } else { "" };
                        let label = paint(style, &format!("{name:<label$}"), |p| p.dim());
                        out.push_str(format!("{label}{GAP}{line}").trim_end());
                        out.push('\n');
                    }
                }
            }
            Block::Table(t) => table(&mut out, t, style),
            Block::Note(tone, text) => {
                for line in wrapped(text, style.width) {
                    out.push_str(&toned(style, *tone, &line));
                    out.push('\n');
                }
            }
            Block::Paragraph(text) => {
                for line in wrapped(text, style.width.min(PARAGRAPH)) {
                    out.push_str(&line);
                    out.push('\n');
                }
            }
            Block::Verbatim(text) => {
                for line in text.lines() {
                    out.push_str(&printable(line));
                    out.push('\n');
                }
            }
            Block::Chart(_) => {}
        }
    }
    out
}

/// The lines of a text: broken between words, a word that is wider than a
/// line cut in its middle.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let word = middle(&printable(word), width);
        let length = measure_text_width(&word);
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        }
        let Some(line) = lines.last_mut() else { break };
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(&word);
        used += length;
    }
    lines
}

fn table(out: &mut String, table: &Table, style: &Style) {
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|r| r.iter().map(|c| printable(&c.text)).collect())
        .collect();
    let natural: Vec<usize> = (0..table.columns.len())
        .map(|c| {
            let cells = rows.iter().filter_map(|r| r.get(c));
            let widest = cells.map(|t| measure_text_width(t)).max().unwrap_or(0);
            widest.max(measure_text_width(table.columns[c].title))
        })
        .collect();
    let layout = fit(&table.columns, &natural, style.width);
    let mut line = |cells: &mut dyn Iterator<Item = String>| {
        let joined: Vec<String> = cells.collect();
        out.push_str(joined.join(GAP).trim_end());
        out.push('\n');
    };
    line(&mut layout.iter().map(|&(c, width)| {
        let column = &table.columns[c];
        let text = aligned(&middle(column.title, width), width, column.align);
        paint(style, &text, |p| p.underlined())
    }));
    for (row, texts) in table.rows.iter().zip(&rows) {
        line(&mut layout.iter().map(|&(c, width)| {
            let text = texts.get(c).map_or("", String::as_str);
            let text = aligned(&middle(text, width), width, table.columns[c].align);
            toned(
                style,
                row.get(c).map_or(Tone::Plain, |cell: &Cell| cell.tone),
                &text,
            )
        }));
    }
}

/// Which columns are shown, and how wide, so that a line takes at most `width`.
fn fit(columns: &[Column], natural: &[usize], width: usize) -> Vec<(usize, usize)> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    loop {
        let gaps = GAP.len() * shown.len().saturating_sub(1);
        let fixed: usize = shown
            .iter()
            .filter(|&&c| !columns[c].elastic)
            .map(|&c| natural[c])
            .sum();
        let elastic: Vec<usize> = shown
            .iter()
            .copied()
            .filter(|&c| columns[c].elastic)
            .collect();
        let room = width.saturating_sub(gaps + fixed);
        let wanted: usize = elastic.iter().map(|&c| natural[c]).sum();
        let least: usize = elastic.iter().map(|&c| natural[c].min(NAME)).sum();
        let last = shown.iter().copied().max_by_key(|&c| columns[c].drop);
        if let Some(last) = last
            && room < least
            && columns[last].drop > 0
        {
            shown.retain(|&c| c != last);
            continue;
        }
        let share = |c: usize| {
            if !columns[c].elastic || wanted <= room {
                return natural[c];
            }
            let part = room.saturating_mul(natural[c]) / wanted.max(1);
            part.max(SHORTEST_NAME).min(natural[c])
        };
        let mut layout: Vec<(usize, usize)> = shown.iter().map(|&c| (c, share(c))).collect();
        squeeze(&mut layout, width.saturating_sub(gaps));
        return layout;
    }
}

/// Narrows the widest columns, whatever they are, until all fit into `room`.
fn squeeze(layout: &mut [(usize, usize)], room: usize) {
    let total: usize = layout.iter().map(|c| c.1).sum();
    for _ in room..total {
        let widest = layout.iter_mut().map(|c| &mut c.1).max();
        if let Some(widest) = widest.filter(|w| **w > 1) {
            *widest -= 1;
        }
    }
}

/// The text, its middle left out where it is wider than `width`.
fn middle(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width || width == 0 {
        return text.to_owned();
    }
    let keep = width - 1;
    let (head, tail) = (keep / 2, keep - keep / 2);
    let take = |chars: &mut dyn Iterator<Item = char>, room: usize| {
        let mut used = 0;
        let mut taken = Vec::new();
        for c in chars {
            used += measure_text_width(c.encode_utf8(&mut [0; 4]));
            if used > room {
                break;
            }
            taken.push(c);
        }
        taken
    };
    let mut out: String = take(&mut text.chars(), head).into_iter().collect();
    out.push('…');
    out.extend(take(&mut text.chars().rev(), tail).into_iter().rev());
    out
}

fn aligned(text: &str, width: usize, align: Align) -> String {
    let space = " ".repeat(width.saturating_sub(measure_text_width(text)));
    match align {
        Align::Left => format!("{text}{space}"),
        Align::Right => format!("{space}{text}"),
    }
}

/// Names come from strangers: what would steer the terminal is shown, not sent.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            escaped
                .into_iter()
                .flatten()
                .chain((!c.is_control()).then_some(c))
        })
        .collect()
}

pub(super) fn toned(style: &Style, tone: Tone, text: &str) -> String {
    match tone {
        Tone::Plain => text.to_owned(),
        Tone::Good => paint(style, text, |p| p.green()),
        Tone::Warning => paint(style, text, |p| p.yellow()),
        Tone::Bad => paint(style, text, |p| p.red()),
    }
}

pub(super) fn paint(style: &Style, text: &str, how: impl Fn(Paint) -> Paint) -> String {
    if style.colour && !text.is_empty() {
        how(Paint::new().force_styling(true))
            .apply_to(text)
            .to_string()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Report {
        let mut table = Table::new(
            "",
            &[
                Column::names("node", "node"),
                Column::numbers("MACs", "macs"),
                Column::words("dilation", "dilation").optional(1),
            ],
        );
        table.rows.push(vec![
            "/features/stage.1/block.2/conv.0/Conv".into(),
            "1.81 G".into(),
            "1x1".into(),
        ]);
        table
            .rows
            .push(vec!["evil\u{1b}[2J".into(), "5".into(), "2x2".into()]);
        Report {
            blocks: vec![Block::Table(table)],
            ..Report::default()
        }
    }

    #[test]
    fn tables_fit_names_are_cut_and_columns_go() {
        for width in [80, 44, 30] {
            let text = render(
                &example(),
                &Style {
                    width,
                    colour: false,
                },
            );
            assert!(
                text.lines().all(|l| measure_text_width(l) <= width),
                "{text}"
            );
            assert!(text.contains("1.81 G"), "{text}");
            assert_eq!(text.contains("dilation"), width >= 44, "{text}");
            assert_eq!(
                text.contains("conv.0/Conv") && text.contains('…'),
                width < 80,
                "{text}"
            );
        }
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        let name = "a/very/long/name/of/a/layer/that/no/terminal/has/room/for/".repeat(3);
        let mut table = Table::new("", &[Column::numbers("MACs", "macs"); 3]);
        table.rows.push(vec![
            name.as_str().into(),
            "12*N".into(),
            name.as_str().into(),
        ]);
        let report = Report {
            blocks: vec![
                Block::Heading(name.clone()),
                Block::Facts(vec![("input", format!("one {name} and two {name}"))]),
                Block::Note(Tone::Bad, format!("{name}: it is so")),
                Block::Table(table),
            ],
            ..Report::default()
        };
        for width in [60, 80, 100] {
            let style = Style {
                width,
                colour: false,
            };
            let text = render(&report, &style);
            assert!(
                text.lines().all(|l| measure_text_width(l) <= width),
                "{text}"
            );
            assert!(text.contains("12*N") && text.contains("it is so"), "{text}");
        }
    }

    #[test]
    fn control_characters_are_shown() {
        let text = render(
            &example(),
            &Style {
                width: 80,
                colour: false,
            },
        );
        assert!(!text.contains('\u{1b}'));
        assert!(text.contains("evil\\u{1b}[2J"));
    }
}
