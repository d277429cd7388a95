//! Full convolution, which others call transposed.

use super::arrange::{expect_size, rows_of_rank, signed};
use super::product;
use crate::bigdl::messages::Module;
use crate::bigdl::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Op, Value, checked};

/// `intParams`: inputs, outputs, kernel, strides, padding and what is added, each width first; groups.
pub(super) fn convert(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let list = module.ints("intParams")?;
    let list: Result<Vec<u64>, _> = list.iter().map(|&it| u64::try_from(it)).collect();
    let Ok(
        &[
            inputs,
            outputs,
            kernel_w,
            kernel_h,
            stride_w,
            stride_h,
            pad_w,
            pad_h,
            more_w,
            more_h,
            groups,
        ],
    ) = list.as_deref()
    else {
        return Err(Problem::Misfit(
            "attribute intParams must have 11 numbers of 0 and more".to_owned(),
        ));
    };
    rows_of_rank(x, 4)?;
    expect_size(x, 1, inputs)?;
    let of_group = outputs
        .checked_div(groups)
        .filter(|it| it.checked_mul(groups) == Some(outputs) && inputs % groups == 0);
    let of_group = of_group.ok_or_else(|| {
        Problem::Misfit(format!(
            "{inputs} inputs and {outputs} outputs in {groups} groups"
        ))
    })?;
    let sizes = [inputs, of_group, kernel_h, kernel_w];
    let weights = walk.need(module, 0, product(&sizes)?)?;
    let rows = grown(x.shape.0[2], [kernel_h, stride_h, pad_h, more_h])?;
    let columns = grown(x.shape.0[3], [kernel_w, stride_w, pad_w, more_w])?;
    let shape = x
        .shape
        .with(1, Dim::Fixed(outputs))
        .with(2, rows)
        .with(3, columns);
    let pads = [signed(pad_h)?, signed(pad_w)?];
    let op = Op::new("ConvTranspose")
        .ints("kernel_shape", &[signed(kernel_h)?, signed(kernel_w)?])
        .ints("strides", &[signed(stride_h)?, signed(stride_w)?])
        .ints("pads", &pads.repeat(2))
        .ints("output_padding", &[signed(more_h)?, signed(more_w)?])
        .int("group", signed(groups)?);
    let weights = walk.graph.floats(&sizes, &weights)?;
    if module.flag("noBias", false)? {
        return walk.graph.add(op, &[x, &weights], shape);
    }
    let bias = walk.need(module, 1, outputs)?;
    let bias = walk.graph.floats(&[outputs], &bias)?;
    walk.graph.add(op, &[x, &weights, &bias], shape)
}

/// The size that a full convolution makes of one.
fn grown(dim: Dim, [kernel, stride, pad, more]: [u64; 4]) -> LayerResult<Dim> {
    let Dim::Fixed(size) = dim else {
        return Ok(dim);
    };
    let size = size
        .checked_sub(1)
        .and_then(|it| it.checked_mul(stride))
        .and_then(|it| it.checked_add(kernel))
        .and_then(|it| it.checked_add(more))
        .and_then(|it| it.checked_sub(pad.checked_mul(2)?));
    Ok(Dim::Fixed(checked(size)?))
}
