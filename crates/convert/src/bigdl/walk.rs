//! The way through a model: containers hand activities to their modules, layers become operators.

use super::activity::Activity;
use super::messages::Module;
use super::storage::Storages;
use super::{branches, layers};
use crate::error::Problem;
use crate::onnx::Graph;
use crate::report::ConvertedLayer;

/// More modules than any network enters.
const MAX_VISITS: usize = 1 << 20;

/// What a conversion holds while it goes through a model.
pub(crate) struct Walk {
    pub(crate) graph: Graph,
    pub(crate) storages: Storages,
    pub(crate) layers: Vec<ConvertedLayer>,
    /// How many modules were entered; tables of tables could make that endless.
    pub(crate) visits: usize,
}

/// A module that could not be converted, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) layer: String,
    pub(crate) kind: String,
    pub(crate) problem: Problem,
}

pub(crate) type WalkResult<T> = Result<T, Box<Failure>>;

impl Walk {
    /// What a module makes of its input.
    pub(crate) fn module(&mut self, module: &Module, input: Activity) -> WalkResult<Activity> {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            let problem =
                Problem::Misfit(format!("the model enters more than {MAX_VISITS} modules"));
            return Err(failure(module, problem));
        }
        if let Some(inside) = wrapped(module) {
            let inside = inside.map_err(|problem| failure(module, problem))?;
            return self.module(inside, input);
        }
        match module.kind() {
            "Sequential" => self.sequence(&module.sub_modules, input),
            "StaticGraph" | "Graph" | "DynamicGraph" | "Model" => {
                branches::graph(self, module, &input)
            }
            "ConcatTable" => branches::concat_table(self, module, &input),
            "ParallelTable" => branches::parallel_table(self, module, &input),
            "MapTable" => branches::map_table(self, module, &input),
            "Concat" => branches::concat(self, module, &input),
            "Bottle" => branches::bottle(self, module, &input),
            "Recurrent" => layers::recurrent::recurrent(self, module, &input),
            "TimeDistributed" => layers::recurrent::time_distributed(self, module, &input),
            _ => self.layer(module, |walk| layers::convert(walk, module, &input)),
        }
    }

    /// One module after the other.
    pub(crate) fn sequence(&mut self, modules: &[Module], input: Activity) -> WalkResult<Activity> {
        let mut activity = input;
        for module in modules {
            activity = self.module(module, activity)?;
        }
        Ok(activity)
    }

    /// Nodes that a module itself adds, with its line of the report.
    pub(crate) fn layer(
        &mut self,
        module: &Module,
        add: impl FnOnce(&mut Self) -> Result<Activity, Problem>,
    ) -> WalkResult<Activity> {
        self.graph.begin_layer(&module.shown_name());
        let result = add(self).map_err(|problem| failure(module, problem))?;
        let line = self.graph.end_layer(module.kind(), result.first());
        self.layers.push(line);
        Ok(result)
    }
}

/// That a module failed with this problem.
pub(crate) fn failure(module: &Module, problem: Problem) -> Box<Failure> {
    Box::new(Failure {
        layer: module.shown_name(),
        kind: module.kind().to_owned(),
        problem,
    })
}

/// The module that does the work of another one: keras-style layers have one inside, others keep it in an attribute.
fn wrapped(module: &Module) -> Option<Result<&Module, Problem>> {
    if module.is_in("nn.keras") || module.attr.contains_key("is_keras_module") {
        let inside = module.sub_modules.first();
        let missing = || Problem::Misfit("it was saved before it was built".to_owned());
        return Some(inside.ok_or_else(missing));
    }
    match module.kind() {
        "BiRecurrent" => Some(module.need_module("birnn")),
        "Maxout" => Some(module.need_module("layer")),
        _ => None,
    }
}
