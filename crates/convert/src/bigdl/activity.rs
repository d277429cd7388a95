//! What flows between modules: a tensor or a table of such.

use std::rc::Rc;

use crate::error::{LayerResult, Problem};
use crate::onnx::Value;

/// More values than the tables of any network hold; nested tables may name one value many times.
const MAX_VALUES: usize = 1 << 16;

/// A tensor or a table; tables are shared, as many branches may get the same one.
#[derive(Clone, Debug)]
pub(crate) enum Activity {
    Tensor(Value),
    Table(Rc<Vec<Activity>>),
}

impl Activity {
    pub(crate) fn table(parts: Vec<Self>) -> Self {
        Self::Table(Rc::new(parts))
    }

    /// The tensor that it must be.
    pub(crate) fn tensor(&self) -> LayerResult<&Value> {
        match self {
            Self::Tensor(value) => Ok(value),
            Self::Table(parts) => Err(Problem::Misfit(format!(
                "its input is a table of {} parts, it takes a tensor",
                parts.len()
            ))),
        }
    }

    /// The parts of the table that it must be.
    pub(crate) fn parts(&self) -> LayerResult<&[Self]> {
        match self {
            Self::Tensor(_) => Err(Problem::Misfit(
                "its input is a tensor, it takes a table".to_owned(),
            )),
            Self::Table(parts) => Ok(parts),
        }
    }

    /// The tensors of the table that it must be.
    pub(crate) fn tensors(&self) -> LayerResult<Vec<&Value>> {
        let tensors = self
            .parts()?
            .iter()
            .map(Self::tensor)
            .collect::<LayerResult<Vec<_>>>()?;
        if tensors.is_empty() {
            return Err(Problem::Misfit("its input is an empty table".to_owned()));
        }
        Ok(tensors)
    }

    /// Part `index` of the table, counted from 1.
    pub(crate) fn part(&self, index: i64) -> LayerResult<&Self> {
        let parts = self.parts()?;
        let at = usize::try_from(index)
            .ok()
            .and_then(|index| index.checked_sub(1));
        at.and_then(|at| parts.get(at)).ok_or_else(|| {
            Problem::Misfit(format!(
                "there is no part {index} in a table of {}",
                parts.len()
            ))
        })
    }

    /// All tensors in it, in their order.
    pub(crate) fn flat(&self) -> LayerResult<Vec<Value>> {
        let mut values = Vec::new();
        self.flatten(&mut values)?;
        Ok(values)
    }

    fn flatten(&self, into: &mut Vec<Value>) -> LayerResult<()> {
        if into.len() >= MAX_VALUES {
            return Err(Problem::Misfit(format!(
                "a table holds more than {MAX_VALUES} tensors"
            )));
        }
        match self {
            Self::Tensor(value) => into.push(value.clone()),
            Self::Table(parts) => {
                for part in parts.iter() {
                    part.flatten(into)?;
                }
            }
        }
        Ok(())
    }

    /// The first tensor in it, for reports.
    pub(crate) fn first(&self) -> Option<&Value> {
        match self {
            Self::Tensor(value) => Some(value),
            Self::Table(parts) => parts.first().and_then(Self::first),
        }
    }
}

impl From<Value> for Activity {
    fn from(value: Value) -> Self {
        Self::Tensor(value)
    }
}
