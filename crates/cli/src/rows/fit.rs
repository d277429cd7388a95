//! Fits rows to the model all at once, and halves what does not fit until bad rows stand alone.

use std::ops::Range;

use millrace_wire::Tensor;

use super::inputs::Inputs;

/// What became of rows.
#[derive(Default)]
pub(super) struct Fitted {
    pub(super) inputs: Inputs,
    /// Row and sentence, ascending.
    pub(super) failed: Vec<(usize, String)>,
}

/// Calls `attempt` for ranges that together are all rows; the sentence that it gives for a single
/// row is that row's.
pub(super) fn fit(
    rows: usize,
    mut attempt: impl FnMut(Range<usize>) -> Result<Vec<Tensor>, String>,
) -> Fitted {
    let mut fitted = Fitted::default();
    let all = 0..rows;
    let mut open = vec![all];
    while let Some(range) = open.pop() {
        if range.is_empty() {
            continue;
        }
        match attempt(range.clone()) {
            Ok(part) => fitted.inputs.push(part),
            Err(sentence) if range.len() == 1 => fitted.failed.push((range.start, sentence)),
            Err(_) => {
                let middle = range.start + range.len() / 2;
                // The first half comes first: rows keep their order.
                open.push(middle..range.end);
                open.push(range.start..middle);
            }
        }
    }
    fitted
}

#[cfg(test)]
mod tests {
    use arrow::buffer::Buffer;
    use millrace_wire::DType;

    use super::*;

    #[test]
    fn bad_rows_are_found_and_the_others_keep_their_order() {
        let values: Vec<i64> = (0..10).collect();
        let fitted = fit(10, |range| {
            if range.contains(&3) || range.contains(&9) {
                return Err(format!("rows {range:?}"));
            }
            let part = values[range].to_vec();
            let rows = part.len();
            let tensor = Tensor::fixed("x", DType::Int64, vec![rows], Buffer::from_vec(part));
            Ok(vec![tensor.unwrap()])
        });
        let sentences = [(3, "rows 3..4".to_owned()), (9, "rows 9..10".to_owned())];
        assert_eq!(fitted.failed, sentences);
        assert_eq!(fitted.inputs.rows(), 8);
        let record = fitted.inputs.encode(0..8, &mut Default::default()).unwrap();
        let record = millrace_wire::Record::decode(record, &Default::default()).unwrap();
        let tensor = record.tensor(0).unwrap();
        assert_eq!(tensor.typed::<i64>().unwrap(), [0, 1, 2, 4, 5, 6, 7, 8]);
        let some = fitted.inputs.encode(2..5, &mut Default::default()).unwrap();
        let some = millrace_wire::Record::decode(some, &Default::default()).unwrap();
        assert_eq!(some.tensor(0).unwrap().typed::<i64>().unwrap(), [2, 4, 5]);
    }
}
