//! The messages of BigDL's `saveModule`, by the field numbers of its public `bigdl.proto`; fields that
//! conversion has no use for are left out and skipped.
#![allow(missing_docs, reason = "names and meanings are those of bigdl.proto")]
#![allow(clippy::too_many_arguments, reason = "what prost makes of a oneof")]

use std::collections::HashMap;

/// `BigDLModule`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Module {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) sub_modules: Vec<Module>,
    /// Up to version 0.5; `parameters` later.
    #[prost(message, optional, tag = "3")]
    pub(crate) weight: Option<Box<Tensor>>,
    #[prost(message, optional, tag = "4")]
    pub(crate) bias: Option<Box<Tensor>>,
    #[prost(string, repeated, tag = "5")]
    pub(crate) pre_modules: Vec<String>,
    #[prost(string, tag = "7")]
    pub(crate) module_type: String,
    #[prost(map = "string, message", tag = "8")]
    pub(crate) attr: HashMap<String, Attr>,
    #[prost(string, tag = "9")]
    pub(crate) version: String,
    #[prost(string, tag = "11")]
    pub(crate) name_postfix: String,
    #[prost(message, optional, tag = "13")]
    pub(crate) input_shape: Option<Box<Shape>>,
    #[prost(message, repeated, tag = "16")]
    pub(crate) parameters: Vec<Tensor>,
}

/// `BigDLTensor`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Tensor {
    #[prost(int32, repeated, tag = "2")]
    pub(crate) size: Vec<i32>,
    #[prost(int32, repeated, tag = "3")]
    pub(crate) stride: Vec<i32>,
    /// Of the first element, counted from 1.
    #[prost(int32, tag = "4")]
    pub(crate) offset: i32,
    #[prost(message, optional, tag = "8")]
    pub(crate) storage: Option<Storage>,
    /// 0: dense; 1: quantized
    #[prost(int32, tag = "10")]
    pub(crate) tensor_type: i32,
}

/// `TensorStorage`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Storage {
    #[prost(float, repeated, tag = "2")]
    pub(crate) float_data: Vec<f32>,
    #[prost(double, repeated, tag = "3")]
    pub(crate) double_data: Vec<f64>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub(crate) bytes_data: Vec<Vec<u8>>,
    #[prost(int32, tag = "9")]
    pub(crate) id: i32,
}

/// `AttrValue`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Attr {
    #[prost(oneof = "AttrValue", tags = "3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16, 18")]
    pub(crate) value: Option<AttrValue>,
}

/// The kinds of attributes that layers read.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum AttrValue {
    #[prost(int32, tag = "3")]
    Int32(i32),
    #[prost(int64, tag = "4")]
    Int64(i64),
    #[prost(float, tag = "5")]
    Float(f32),
    #[prost(double, tag = "6")]
    Double(f64),
    #[prost(string, tag = "7")]
    Text(String),
    #[prost(bool, tag = "8")]
    Bool(bool),
    #[prost(message, tag = "10")]
    Tensor(Box<Tensor>),
    #[prost(message, tag = "13")]
    Module(Box<Module>),
    #[prost(message, tag = "14")]
    Named(Box<NameAttrList>),
    #[prost(message, tag = "15")]
    Array(Box<Array>),
    /// 0: NCHW; 1: NHWC
    #[prost(int32, tag = "16")]
    DataFormat(i32),
    #[prost(message, tag = "18")]
    Shape(Box<Shape>),
}

/// `AttrValue.ArrayValue`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Array {
    #[prost(int32, repeated, tag = "3")]
    pub(crate) i32: Vec<i32>,
    #[prost(string, repeated, tag = "7")]
    pub(crate) text: Vec<String>,
    #[prost(message, repeated, tag = "10")]
    pub(crate) tensor: Vec<Tensor>,
}

/// `NameAttrList`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NameAttrList {
    #[prost(map = "string, message", tag = "2")]
    pub(crate) attr: HashMap<String, Attr>,
}

/// `Shape`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Shape {
    /// 0: one tensor; 1: a table of them
    #[prost(int32, tag = "1")]
    pub(crate) shape_type: i32,
    #[prost(int32, repeated, tag = "3")]
    pub(crate) value: Vec<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) shape: Vec<Shape>,
}
