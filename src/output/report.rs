//! What a command has to say, before any format.

use serde_json::Value;

use super::Chart;

/// A report.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What it is about.
    pub title: String,
    /// For people, in order.
    pub blocks: Vec<Block>,
    /// For machines: the documented JSON.
    pub data: Value,
}

/// A piece of a report.
#[derive(Clone, Debug)]
pub enum Block {
    /// Begins a part.
    Heading(String),
    /// Names and values.
    Facts(Vec<(&'static str, String)>),
    /// A table.
    Table(Table),
    /// A sentence that matters.
    Note(Tone, String),
    /// Sentences.
    Paragraph(String),
    /// Lines to be kept as they are.
    Verbatim(String),
    /// A picture; only formats that can draw show it.
    Chart(Chart),
}

/// How a thing is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// As wished.
    Good,
    /// To be looked at.
    Warning,
    /// Not as wished.
    Bad,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What all rows are about (a model's path): a column of its own in CSV.
    pub subject: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// Rows, a cell a column.
    pub rows: Vec<Vec<Cell>>,
    /// Whether it stands beside the table that a report is about: CSV, which
    /// has room for one kind of row, leaves it out.
    pub beside: bool,
}

/// Where text stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Heading for people.
    pub title: &'static str,
    /// Heading for machines.
    pub key: &'static str,
    /// Where text stands.
    pub align: Align,
    /// Whether long text may be cut in the middle.
    pub elastic: bool,
    /// Where room is scarce, columns go from the highest number down; 0 stays.
    pub drop: u8,
}

impl Column {
    /// A column of words.
    pub const fn words(title: &'static str, key: &'static str) -> Self {
        Self {
            title,
            key,
            align: Align::Left,
            elastic: false,
            drop: 0,
        }
    }

    /// A column of names, which may be cut in the middle.
    pub const fn names(title: &'static str, key: &'static str) -> Self {
        Self {
            title,
            key,
            align: Align::Left,
            elastic: true,
            drop: 0,
        }
    }

    /// A column of numbers.
    pub const fn numbers(title: &'static str, key: &'static str) -> Self {
        Self {
            title,
            key,
            align: Align::Right,
            elastic: false,
            drop: 0,
        }
    }

    /// The same column, dropped where room is scarce.
    #[must_use]
    pub const fn optional(self, drop: u8) -> Self {
        Self { drop, ..self }
    }
}

/// A cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// For people.
    pub text: String,
    /// For machines, where it differs.
    pub raw: Option<String>,
    /// How it is meant.
    pub tone: Tone,
}

impl Cell {
    /// A cell that people and machines read alike.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// A cell that is shown as `text` and stands for `raw`.
    pub fn with_raw(text: impl Into<String>, raw: impl ToString) -> Self {
        Self {
            text: text.into(),
            raw: Some(raw.to_string()),
            tone: Tone::Plain,
        }
    }

    /// The same cell, meant so.
    #[must_use]
    pub fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl Table {
    /// An empty table.
    pub fn new(subject: impl Into<String>, columns: &[Column]) -> Self {
        Self {
            subject: subject.into(),
            columns: columns.to_vec(),
            rows: Vec::new(),
            beside: false,
        }
    }

    /// The same table, beside the one that the report is about.
    #[must_use]
    pub fn beside(self) -> Self {
        Self {
            beside: true,
            ..self
        }
    }

    /// Takes out the columns in which no row says anything.
    #[must_use]
    pub fn without_empty_columns(mut self) -> Self {
        let said: Vec<bool> = (0..self.columns.len())
            .map(|c| {
                self.rows
                    .iter()
                    .any(|r| r.get(c).is_some_and(|cell| !cell.text.is_empty()))
            })
            .collect();
        let keep = |i: &mut usize| {
            *i += 1;
            said.get(*i - 1).copied().unwrap_or(true)
        };
        let mut i = 0;
        self.columns.retain(|_| keep(&mut i));
        for row in &mut self.rows {
            let mut i = 0;
            row.retain(|_| keep(&mut i));
        }
        self
    }
}
