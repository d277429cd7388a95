//! The white space of an answer, as RapidJSON's `PrettyWriter` sets it for TensorFlow Serving.
//!
//! Members of objects stand on lines of their own. So do elements of lists, except within the rows
//! of `predictions`, where a list is one line.

use crate::Limits;

/// How lists are laid out, and how many brackets and braces are open around a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) depth: usize,
    pub(super) lists: ListStyle,
}

/// How the elements of a list are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListStyle {
    OneLine,
    Lines,
    /// One line without any white space, for other protocols.
    Compact,
}

impl Layout {
    /// The layout within one more bracket or brace.
    pub(super) fn inside(self, levels: usize) -> Self {
        Self {
            depth: self.depth + levels,
            ..self
        }
    }

    /// Ends the line, if lists have lines, and indents the next.
    pub(super) fn break_line(self, out: &mut Vec<u8>) {
        if self.lists == ListStyle::Lines {
            self.new_line(out);
        }
    }

    /// Ends the line and indents the next.
    pub(super) fn new_line(self, out: &mut Vec<u8>) {
        const SPACES_PER_LEVEL: usize = 4;
        out.push(b'\n');
        out.resize(out.len() + SPACES_PER_LEVEL * self.depth, b' ');
    }

    /// What stands between two elements of a list.
    pub(super) fn separate(self, out: &mut Vec<u8>) {
        match self.lists {
            ListStyle::OneLine => out.extend_from_slice(b", "),
            ListStyle::Compact => out.push(b','),
            ListStyle::Lines => {
                out.push(b',');
                self.new_line(out);
            }
        }
    }
}

/// Appends lists inside lists of the given sizes, calling `element` for each element in order, with
/// the layout at its place.
pub(super) fn push_lists(
    shape: &[usize],
    layout: Layout,
    out: &mut Vec<u8>,
    element: impl Fn(usize, Layout, &mut Vec<u8>),
) {
    // What is inside an empty list has no size that could be seen.
    let visible = shape
        .iter()
        .position(|&size| size == 0)
        .map_or(shape.len(), |empty| empty + 1);
    let Some((&length, outer)) = shape.get(..visible).unwrap_or_default().split_last() else {
        return element(0, layout, out);
    };
    // How many innermost lists there are in one list of each outer level.
    let mut lists = [1usize; Limits::MAX_RANK];
    let mut total = 1;
    for (level, &size) in outer.iter().enumerate().rev() {
        total *= size;
        lists[level] = total;
    }
    let lists = &lists[..outer.len()];
    let innermost = layout.inside(outer.len());
    let elements = innermost.inside(1);
    for list in 0..total {
        let begun = lists.iter().filter(|&&inside| list % inside == 0).count();
        for level in outer.len() - begun..outer.len() {
            out.push(b'[');
            layout.inside(level + 1).break_line(out);
        }
        out.push(b'[');
        for index in list * length..(list + 1) * length {
            match index == list * length {
                true => elements.break_line(out),
                false => elements.separate(out),
            }
            element(index, elements, out);
        }
        if length > 0 {
            innermost.break_line(out);
        }
        out.push(b']');
        let ended = lists
            .iter()
            .filter(|&&inside| (list + 1) % inside == 0)
            .count();
        for level in (outer.len() - ended..outer.len()).rev() {
            layout.inside(level).break_line(out);
            out.push(b']');
        }
        if list + 1 < total {
            layout.inside(outer.len() - ended).separate(out);
        }
    }
}
