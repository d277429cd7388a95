//! Containers with branches: tables and graphs.

use std::collections::{HashMap, HashSet};

use super::activity::Activity;
use super::layers::{arrange, combine};
use super::messages::Module;
use super::walk::{Walk, WalkResult, failure};
use crate::error::{LayerResult, Problem};

/// The same input for every module; a table of what they give.
pub(crate) fn concat_table(
    walk: &mut Walk,
    module: &Module,
    input: &Activity,
) -> WalkResult<Activity> {
    let mut parts = Vec::with_capacity(module.sub_modules.len());
    for part in &module.sub_modules {
        parts.push(walk.module(part, input.clone())?);
    }
    Ok(Activity::table(parts))
}

/// A part of the table for each module.
pub(crate) fn parallel_table(
    walk: &mut Walk,
    module: &Module,
    input: &Activity,
) -> WalkResult<Activity> {
    let inputs = input.parts().map_err(|problem| failure(module, problem))?;
    if inputs.len() > module.sub_modules.len() {
        let problem = Problem::Misfit(format!(
            "{} modules get a table of {}",
            module.sub_modules.len(),
            inputs.len()
        ));
        return Err(failure(module, problem));
    }
    let mut parts = Vec::with_capacity(inputs.len());
    for (part, input) in module.sub_modules.iter().zip(inputs) {
        parts.push(walk.module(part, input.clone())?);
    }
    Ok(Activity::table(parts))
}

/// One module for every part of the table.
pub(crate) fn map_table(
    walk: &mut Walk,
    module: &Module,
    input: &Activity,
) -> WalkResult<Activity> {
    let missing = || Problem::Misfit("it has no module".to_owned());
    let inside = module
        .sub_modules
        .first()
        .or_else(|| module.module("module"))
        .ok_or_else(missing);
    let inside = inside.map_err(|problem| failure(module, problem))?;
    let inputs = input.parts().map_err(|problem| failure(module, problem))?;
    let mut parts = Vec::with_capacity(inputs.len());
    for input in inputs {
        parts.push(walk.module(inside, input.clone())?);
    }
    Ok(Activity::table(parts))
}

/// The same input for every module; what they give, joined along one dimension.
pub(crate) fn concat(walk: &mut Walk, module: &Module, input: &Activity) -> WalkResult<Activity> {
    let parts = concat_table(walk, module, input)?;
    walk.layer(module, |walk| {
        let tensors = parts.tensors()?;
        let axis = arrange::axis(module.int("dimension")?, tensors[0].shape.rank())?;
        combine::join(&mut walk.graph, &tensors, axis).map(Activity::from)
    })
}

/// All leading dimensions become the batch for the module inside.
pub(crate) fn bottle(walk: &mut Walk, module: &Module, input: &Activity) -> WalkResult<Activity> {
    let problem = |problem| failure(module, problem);
    let rank = usize::try_from(module.int("nInputDim").map_err(problem)?).unwrap_or(0);
    let out = module.int("nOutputDim1").map_err(problem)?;
    let given = input.tensor().map_err(problem)?;
    let leading = (given.shape.rank() + 1).saturating_sub(rank);
    if out != i64::from(i32::MAX) && usize::try_from(out) != Ok(rank) || rank == 0 || leading == 0 {
        return Err(problem(Problem::Unsupported(
            "other dimensions after it than before".to_owned(),
        )));
    }
    let inside = module
        .sub_modules
        .first()
        .or_else(|| module.module("module"));
    let inside = inside.ok_or_else(|| problem(Problem::Misfit("it has no module".to_owned())))?;
    super::layers::recurrent::per_leading(walk, (module, inside), given, leading)
}

/// Nodes of a graph in an order in which each has its inputs.
pub(crate) fn graph(walk: &mut Walk, module: &Module, input: &Activity) -> WalkResult<Activity> {
    let problem = |problem| failure(module, problem);
    let nodes = Nodes::of(module).map_err(problem)?;
    let mut done: HashMap<&str, Activity> = HashMap::new();
    for &at in &nodes.order {
        let part = &module.sub_modules[at];
        let name = nodes.names[at].as_str();
        let given = nodes.input((module, input), (name, part), &done);
        let given = given.map_err(|problem| failure(part, problem))?;
        let result = walk.module(part, given)?;
        done.insert(name, result);
    }
    let mut outputs = Vec::new();
    for name in module.texts("outputNames").map_err(problem)? {
        let missing = || {
            problem(Problem::Misfit(format!(
                "output {name:?} is none of its nodes"
            )))
        };
        outputs.push(done.get(name.as_str()).cloned().ok_or_else(missing)?);
    }
    if outputs.len() == 1 {
        return Ok(outputs.remove(0));
    }
    Ok(Activity::table(outputs))
}

/// More than any node of a graph has before it.
const MAX_BEFORE: usize = 1 << 12;

struct Nodes {
    names: Vec<String>,
    known: HashSet<String>,
    order: Vec<usize>,
}

impl Nodes {
    fn of(module: &Module) -> LayerResult<Self> {
        let names: Vec<String> = module.sub_modules.iter().map(Module::shown_name).collect();
        let places: HashMap<&str, usize> = names
            .iter()
            .enumerate()
            .map(|(at, name)| (name.as_str(), at))
            .collect();
        if places.len() != names.len() {
            return Err(Problem::Misfit("two of its nodes have one name".to_owned()));
        }
        let mut waiting = vec![0_usize; names.len()];
        let mut after: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
        for (at, part) in module.sub_modules.iter().enumerate() {
            for before in part
                .pre_modules
                .iter()
                .filter_map(|before| places.get(before.as_str()))
            {
                waiting[at] += 1;
                after[*before].push(at);
            }
        }
        let mut order: Vec<usize> = (0..names.len()).filter(|&at| waiting[at] == 0).collect();
        let mut next = 0;
        while let Some(&at) = order.get(next) {
            next += 1;
            for &follower in &after[at] {
                waiting[follower] -= 1;
                if waiting[follower] == 0 {
                    order.push(follower);
                }
            }
        }
        if order.len() != names.len() {
            return Err(Problem::Unsupported("a loop in a graph".to_owned()));
        }
        let known = names.iter().cloned().collect();
        Ok(Self {
            names,
            known,
            order,
        })
    }

    fn input(
        &self,
        (graph, input): (&Module, &Activity),
        (name, part): (&str, &Module),
        done: &HashMap<&str, Activity>,
    ) -> LayerResult<Activity> {
        let before: Vec<&String> = part
            .pre_modules
            .iter()
            .filter(|it| self.known.contains(it.as_str()))
            .collect();
        if before.len() > MAX_BEFORE {
            return Err(Problem::Misfit(format!(
                "{} nodes come before it",
                before.len()
            )));
        }
        if before.is_empty() {
            return self.graph_input(graph, name, input);
        }
        let mut given = Vec::with_capacity(before.len());
        for name_before in &before {
            let result = done
                .get(name_before.as_str())
                .expect("nodes run after those before them");
            let Some(index) = graph.edge(name, name_before) else {
                given.push(result.clone());
                continue;
            };
            if before.iter().filter(|it| it == &name_before).count() > 1 {
                // BigDL writes one index per pair of nodes; it cannot read back what it wrote then either.
                return Err(Problem::Unsupported(format!(
                    "several single results of {name_before:?}: the file keeps one of them"
                )));
            }
            given.push(match result {
                Activity::Tensor(_) if index == 1 => result.clone(),
                _ => result.part(index)?.clone(),
            });
        }
        if given.len() == 1 {
            return Ok(given.remove(0));
        }
        Ok(Activity::table(given))
    }

    fn graph_input(&self, graph: &Module, name: &str, input: &Activity) -> LayerResult<Activity> {
        let inputs = graph.texts("inputNames")?;
        if inputs.len() == 1 {
            return Ok(input.clone());
        }
        let place = inputs.iter().position(|it| it == name);
        match place.and_then(|place| i64::try_from(place + 1).ok()) {
            Some(place) => input.part(place).cloned(),
            None => Err(Problem::Misfit(
                "nothing comes before it and it is no input".to_owned(),
            )),
        }
    }
}
