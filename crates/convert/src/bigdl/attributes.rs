//! Reading a module: its kind, its name, and its attributes with their types.

use super::messages::{Attr, AttrValue, Module, Tensor};
use crate::error::{LayerResult, Problem};

impl Module {
    /// The class without its package and without what the Scala compiler adds to it.
    pub(crate) fn kind(&self) -> &str {
        let class = self.module_type.rsplit('.').next().unwrap_or_default();
        class.split('$').next().unwrap_or_default()
    }

    /// Whether the class is in this package of `com.intel.analytics.bigdl` (and not below it).
    pub(crate) fn is_in(&self, package: &str) -> bool {
        self.module_type
            .rsplit_once('.')
            .is_some_and(|(before, _)| before.ends_with(package))
    }

    /// The name that was given, or BigDL's own.
    pub(crate) fn shown_name(&self) -> String {
        if self.name.is_empty() {
            format!("{}{}", self.kind(), self.name_postfix)
        } else {
            self.name.clone()
        }
    }

    /// An attribute that is there and has a value.
    pub(crate) fn find(&self, key: &str) -> Option<&AttrValue> {
        self.attr.get(key).and_then(|it| it.value.as_ref())
    }

    fn need<'a, T>(
        &'a self,
        key: &str,
        read: impl Fn(&'a AttrValue) -> Option<T>,
    ) -> LayerResult<T> {
        let found = self
            .find(key)
            .ok_or_else(|| Problem::Misfit(format!("attribute {key} is missing")))?;
        read(found).ok_or_else(|| {
            Problem::Misfit(format!("attribute {key} has another type than it should"))
        })
    }

    /// A whole number.
    pub(crate) fn int(&self, key: &str) -> LayerResult<i64> {
        self.need(key, |value| match value {
            AttrValue::Int32(it) => Some(i64::from(*it)),
            AttrValue::Int64(it) => Some(*it),
            _ => None,
        })
    }

    /// A whole number, or what holds where older versions do not write it.
    pub(crate) fn int_or(&self, key: &str, otherwise: i64) -> LayerResult<i64> {
        self.find(key).map_or(Ok(otherwise), |_| self.int(key))
    }

    /// A size: a whole number above 0.
    pub(crate) fn size(&self, key: &str) -> LayerResult<u64> {
        let value = self.int(key)?;
        match u64::try_from(value) {
            Ok(size) if size > 0 => Ok(size),
            _ => Err(Problem::Misfit(format!(
                "attribute {key} is {value}, it must be above 0"
            ))),
        }
    }

    /// A number.
    pub(crate) fn double(&self, key: &str) -> LayerResult<f64> {
        self.need(key, |value| match value {
            AttrValue::Double(it) => Some(*it),
            AttrValue::Float(it) => Some(f64::from(*it)),
            AttrValue::Int32(it) => Some(f64::from(*it)),
            _ => None,
        })
    }

    /// A number, or what holds where older versions do not write it.
    pub(crate) fn double_or(&self, key: &str, otherwise: f64) -> LayerResult<f64> {
        self.find(key).map_or(Ok(otherwise), |_| self.double(key))
    }

    /// A number in the precision of weights.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weights and constants are float32 here"
    )]
    pub(crate) fn float(&self, key: &str) -> LayerResult<f32> {
        Ok(self.double(key)? as f32)
    }

    /// Yes or no, or what holds where older versions do not write it.
    pub(crate) fn flag(&self, key: &str, otherwise: bool) -> LayerResult<bool> {
        if self.find(key).is_none() {
            return Ok(otherwise);
        }
        self.need(key, |value| match value {
            AttrValue::Bool(it) => Some(*it),
            _ => None,
        })
    }

    /// A list of whole numbers; empty where it is not there.
    pub(crate) fn ints(&self, key: &str) -> LayerResult<Vec<i64>> {
        if self.find(key).is_none() {
            return Ok(Vec::new());
        }
        self.need(key, |value| match value {
            AttrValue::Array(it) => Some(it.i32.iter().map(|&it| i64::from(it)).collect()),
            _ => None,
        })
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &str) -> LayerResult<&[String]> {
        self.need(key, |value| match value {
            AttrValue::Array(it) => Some(it.text.as_slice()),
            _ => None,
        })
    }

    /// Tensors of an attribute, be it one or a list.
    pub(crate) fn tensors(&self, key: &str) -> LayerResult<&[Tensor]> {
        self.need(key, |value| match value {
            AttrValue::Tensor(it) => Some(std::slice::from_ref(it.as_ref())),
            AttrValue::Array(it) => Some(it.tensor.as_slice()),
            _ => None,
        })
    }

    /// A module in an attribute; `None` where there is none.
    pub(crate) fn module(&self, key: &str) -> Option<&Module> {
        match self.find(key) {
            Some(AttrValue::Module(module)) if !module.module_type.is_empty() => Some(module),
            _ => None,
        }
    }

    /// A module that must be there.
    pub(crate) fn need_module(&self, key: &str) -> LayerResult<&Module> {
        self.module(key)
            .ok_or_else(|| Problem::Misfit(format!("it has no module {key}")))
    }

    /// Whether channels come last.
    pub(crate) fn channels_last(&self, key: &str) -> bool {
        matches!(self.find(key), Some(AttrValue::DataFormat(1)))
    }

    /// Which result of the module `before` the node `name` of this graph takes: counted from 1, or `None` for
    /// all of them.
    pub(crate) fn edge(&self, name: &str, before: &str) -> Option<i64> {
        let Some(AttrValue::Named(edges)) = self.find(&format!("{name}_edges")) else {
            return None;
        };
        let index = |attr: &Attr| match attr.value {
            Some(AttrValue::Int32(index)) if index > 0 => Some(i64::from(index)),
            _ => None,
        };
        edges.attr.get(before).and_then(index)
    }
}
