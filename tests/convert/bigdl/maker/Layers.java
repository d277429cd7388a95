import static java.util.Arrays.asList;

import com.intel.analytics.bigdl.nn.abstractnn.AbstractModule;
import com.intel.analytics.bigdl.tensor.Tensor;
import com.intel.analytics.bigdl.utils.Node;

/** One small network per layer, or per family where layers differ in one function only. */
@SuppressWarnings({"unchecked", "rawtypes"})
final class Layers {
    private static final Object NHWC = Build.singleton("nn.abstractnn.DataFormat$NHWC$");
    private static final int SAME = -1;

    private Layers() {}

    static void all(Golden golden) throws Exception {
        convolutions(golden);
        pooling(golden);
        normalisation(golden);
        functions(golden);
        tables(golden);
        graphs(golden);
        shapes(golden);
        dense(golden);
        sequences(golden);
        keras(golden);
        files(golden);
    }

    private static AbstractModule m(String name, Object... arguments) {
        return Build.module(name, arguments);
    }

    private static AbstractModule seq(AbstractModule... parts) {
        return Build.sequential(parts);
    }

    private static int[] of(int... sizes) {
        return sizes;
    }

    private static AbstractModule conv(int in, int out, int kernel, int stride, int pad, int groups) {
        return m("SpatialConvolution", in, out, kernel, kernel, stride, stride, pad, pad, groups);
    }

    /** A convolution with every argument: kernel 3 wide and 2 high, strides 2 and 1. */
    private static AbstractModule convSame(Object format, boolean bias) {
        return m("SpatialConvolution", 3, 4, 3, 2, 2, 1, SAME, SAME, 1, true, null, null, null, null, null, null, bias, format);
    }

    private static void convolutions(Golden golden) throws Exception {
        Object nchw = Build.singleton("nn.abstractnn.DataFormat$NCHW$");
        golden.add("convolution", () -> seq(conv(3, 4, 3, 2, 1, 1)), of(2, 3, 7, 6));
        golden.add("convolution_groups", () -> seq(conv(4, 6, 3, 1, 0, 2)), of(2, 4, 5, 6));
        golden.add("convolution_same", () -> seq(convSame(nchw, true)), of(2, 3, 7, 6));
        golden.add("convolution_nhwc", () -> seq(convSame(NHWC, false)), of(2, 7, 6, 3));
        golden.add("convolution_shared", () -> seq(m("SpatialShareConvolution", 3, 4, 3, 3, 1, 1, 1, 1)), of(2, 3, 5, 6));
        golden.add("convolution_dilated",
                () -> seq(m("SpatialDilatedConvolution", 3, 4, 3, 2, 1, 1, 2, 1, 2, 3)), of(2, 3, 9, 8));
        golden.add("convolution_full",
                () -> seq(m("SpatialFullConvolution", 3, 4, 3, 2, 2, 3, 1, 0, 1, 2)), of(2, 3, 4, 5));
        golden.add("convolution_full_groups",
                () -> seq(m("SpatialFullConvolution", 4, 6, 3, 3, 2, 2, 1, 1, 0, 0, 2, true)), of(2, 4, 4, 5));
        golden.add("convolution_separable",
                () -> seq(m("SpatialSeparableConvolution", 3, 4, 2, 3, 3, 1, 1, 1, 1)), of(2, 3, 6, 5));
        golden.add("convolution_volumetric",
                () -> seq(m("VolumetricConvolution", 2, 3, 2, 3, 2, 1, 2, 1, 1, 0, 1)), of(2, 2, 4, 5, 6));
        golden.add("convolution_temporal", () -> seq(m("TemporalConvolution", 5, 4, 3, 2)), of(2, 9, 5));
    }

    private static AbstractModule average(boolean ceil, boolean countPad, boolean divide) {
        return m("SpatialAveragePooling", 3, 3, 2, 2, 1, 1, false, ceil, countPad, divide);
    }

    private static void pooling(Golden golden) throws Exception {
        golden.add("pooling_max", () -> seq(m("SpatialMaxPooling", 3, 2, 2, 1, 1, 0)), of(2, 3, 8, 7));
        golden.add("pooling_max_ceil", () -> {
            AbstractModule pool = m("SpatialMaxPooling", 3, 3, 2, 2);
            Build.invoke(pool, "ceil");
            return seq(conv(3, 3, 1, 1, 0, 1), pool);
        }, of(2, 3, 8, 6));
        // The last window would begin in the padding: BigDL leaves it out.
        golden.add("pooling_max_ceil_padded", () -> {
            AbstractModule pool = m("SpatialMaxPooling", 2, 2, 2, 2, 1, 1);
            Build.invoke(pool, "ceil");
            return seq(pool);
        }, of(2, 3, 7, 6));
        golden.add("pooling_max_same", () -> seq(m("SpatialMaxPooling", 3, 2, 2, 2, SAME, SAME)), of(2, 3, 8, 7));
        golden.add("pooling_max_nhwc", () -> seq(m("SpatialMaxPooling", 2, 2, 2, 2, 0, 0, NHWC)), of(2, 6, 4, 3));
        golden.add("pooling_average", () -> seq(average(false, true, true)), of(2, 3, 8, 7));
        golden.add("pooling_average_ceil", () -> seq(average(true, true, true)), of(2, 3, 8, 6));
        golden.add("pooling_average_ceil_without_padding", () -> seq(average(true, false, true)), of(2, 3, 8, 6));
        golden.add("pooling_average_without_padding", () -> seq(average(false, false, true)), of(2, 3, 8, 7));
        golden.add("pooling_sum", () -> seq(average(true, true, false)), of(2, 3, 8, 6));
        golden.add("pooling_average_same", () -> seq(m("SpatialAveragePooling", 3, 2, 2, 2, SAME, SAME)), of(2, 3, 8, 7));
        golden.add("pooling_average_global",
                () -> seq(m("SpatialAveragePooling", 1, 1, 1, 1, 0, 0, true)), of(2, 3, 5, 7));
        golden.add("pooling_temporal", () -> seq(m("TemporalMaxPooling", 3, 2)), of(2, 9, 5));
        golden.add("pooling_volumetric", () -> seq(m("VolumetricMaxPooling", 2, 3, 2, 2, 1, 2, 0, 1, 0)), of(2, 2, 4, 5, 6));
    }

    private static void normalisation(Golden golden) throws Exception {
        golden.add("batch_normalization", () -> seq(m("BatchNormalization", 6, 1e-3)), of(4, 6));
        golden.add("batch_normalization_plain", () -> seq(m("BatchNormalization", 6, 1e-5, 0.1, false)), of(4, 6));
        golden.add("batch_normalization_spatial", () -> seq(m("SpatialBatchNormalization", 4)), of(2, 4, 3, 5));
        golden.add("lrn", () -> seq(m("SpatialCrossMapLRN", 3, 0.9, 0.6, 1.5)), of(2, 6, 4, 3));
        golden.add("lrn_within_channel", () -> seq(m("SpatialWithinChannelLRN", 3, 0.9, 0.6)), of(2, 3, 5, 6));
        golden.add("normalize", () -> seq(m("Normalize", 2.0)), of(3, 7));
        golden.add("normalize_scale", () -> seq(m("NormalizeScale", 2.0, 1e-10, 20.0, of(1, 4, 1, 1))), of(2, 4, 3, 5));
        golden.add("scale", () -> seq(m("Scale", of(1, 4, 1, 1))), of(2, 4, 3, 5));
        golden.add("dropout", () -> seq(m("Dropout", 0.5), m("SpatialDropout2D", 0.5), m("GaussianNoise", 0.5),
                m("GaussianDropout", 0.5), m("Mul")), of(2, 4, 3, 5));
    }

    private static void functions(Golden golden) throws Exception {
        for (String name : asList("ReLU", "ReLU6", "Tanh", "Sigmoid", "ELU", "LeakyReLU", "SoftPlus", "SoftSign", "HardTanh",
                "HardSigmoid", "HardShrink", "SoftShrink", "TanhShrink", "LogSigmoid", "Exp", "Square", "Abs", "Negative",
                "Threshold", "BinaryThreshold", "GradientReversal", "LogSoftMax", "SoftMax", "SoftMin", "Identity", "Echo",
                "Contiguous", "RReLU")) {
            golden.add("function_" + name.toLowerCase(), () -> seq(m("MulConstant", 3.0), m(name)), of(3, 7));
        }
        golden.add("function_parameters", () -> seq(m("ELU", 0.7), m("LeakyReLU", 0.3), m("AddConstant", 0.25),
                m("HardTanh", -0.5, 0.9), m("MulConstant", 4.0), m("Clamp", -1, 2), m("Threshold", 0.1, -0.2),
                m("SoftPlus", 2.0)), of(3, 7));
        golden.add("function_power", () -> seq(m("Abs"), m("Power", 1.5, 0.5, 0.25), m("Sqrt"), m("Log")), of(3, 7));
        golden.add("function_prelu", () -> seq(m("PReLU", 4)), of(2, 4, 3, 5));
        golden.add("function_prelu_shared", () -> seq(m("PReLU")), of(3, 7));
        golden.add("function_softmax_image", () -> seq(m("SoftMax")), of(2, 4, 3, 5));
    }

    private static AbstractModule two(AbstractModule combined) {
        return seq(Build.container("ConcatTable", m("Linear", 5, 4), seq(m("Linear", 5, 4), m("Sigmoid"))), combined);
    }

    private static void tables(Golden golden) throws Exception {
        for (String name : asList("CAddTable", "CSubTable", "CMulTable", "CDivTable", "CMaxTable", "CMinTable", "CAveTable",
                "DotProduct")) {
            golden.add("table_" + name.toLowerCase(), () -> two(m(name)), of(3, 5));
        }
        golden.add("table_join", () -> two(m("JoinTable", 1, 1)), of(3, 5));
        golden.add("table_join_batch", () -> two(m("JoinTable", 2, 0)), of(3, 5));
        golden.add("table_select", () -> two(m("SelectTable", 2)), of(3, 5));
        golden.add("table_select_last", () -> two(m("SelectTable", -1)), of(3, 5));
        golden.add("table_narrow", () -> two(seq(m("NarrowTable", 2, 1), m("SelectTable", 1))), of(3, 5));
        golden.add("table_parallel", () -> two(seq(Build.container("ParallelTable", m("Tanh"), m("Linear", 4, 4)),
                m("CAddTable"))), of(3, 5));
        golden.add("table_map", () -> two(seq(Build.add(m("MapTable"), m("Linear", 4, 3)), m("JoinTable", 1, 1))), of(3, 5));
        golden.add("table_flatten", () -> seq(Build.container("ConcatTable", m("Identity"),
                Build.container("ConcatTable", m("Tanh"), m("Sigmoid"))), m("FlattenTable"), m("CAddTable")), of(3, 5));
        golden.add("table_split", () -> seq(m("SplitTable", 1, 2), m("CAddTable")), of(3, 4, 5));
        golden.add("table_bifurcate", () -> seq(m("BifurcateSplitTable", 2), m("CMulTable")), of(3, 6, 5));
        golden.add("table_concat", () -> seq(Build.add(m("Concat", 2), m("Linear", 5, 4), m("Linear", 5, 2))), of(3, 5));
        golden.add("table_mm", () -> seq(m("MM", false, true)), of(2, 3, 4), of(2, 5, 4));
        golden.add("table_pack", () -> two(m("Pack", 2)), of(3, 5));
        golden.add("table_outputs", () -> Build.container("ConcatTable", m("Linear", 5, 4), m("Tanh")), of(3, 5));
        golden.add("table_inputs", () -> seq(Build.container("ParallelTable", m("Linear", 5, 4), m("Linear", 3, 4)),
                m("CAddTable")), of(2, 5), of(2, 3));
    }

    private static void graphs(Golden golden) throws Exception {
        golden.add("graph", () -> {
            Node input = Build.input();
            Node left = Build.node(m("Linear", 5, 4), input);
            Node right = Build.node(m("Linear", 5, 4), input);
            Node sum = Build.node(m("CAddTable"), left, right);
            Node joined = Build.node(m("JoinTable", 2, 0), sum, left);
            return Build.graph(input, Build.node(m("LogSoftMax"), joined));
        }, of(3, 5));
        golden.add("graph_order", () -> {
            // What is subtracted from what depends on the order of the edges alone.
            Node first = Build.input();
            Node second = Build.input();
            Node late = Build.node(m("Linear", 4, 5), second);
            Node early = Build.node(m("Tanh"), first);
            return Build.graph(new Node[] {first, second}, Build.node(m("CSubTable"), late, early), early);
        }, of(3, 5), of(3, 4));
        golden.add("graph_edges", () -> {
            Node input = Build.input();
            Node split = Build.node(m("SplitTable", 1, 2), input);
            Node second = Build.nodeOf(m("Linear", 3, 4), split, 2);
            Node first = Build.nodeOf(m("Tanh"), split, 1);
            return Build.graph(input, Build.node(m("JoinTable", 2, 0), second, first));
        }, of(2, 2, 3));
        golden.add("graph_nested", () -> {
            Node inner = Build.input();
            AbstractModule part = Build.graph(inner, Build.node(m("ReLU"), Build.node(m("Linear", 5, 4), inner)));
            Node outer = Build.input();
            return Build.graph(outer, Build.node(m("Linear", 4, 2), Build.node(part, outer)));
        }, of(3, 5));
        golden.add("shared_storage", () -> {
            AbstractModule module = seq(m("Linear", 5, 4), m("Tanh"), m("Linear", 4, 3));
            Build.invoke(module, "getParameters");
            return module;
        }, of(3, 5));
    }

    private static void shapes(Golden golden) throws Exception {
        golden.add("shape_reshape", () -> seq(m("Reshape", of(2, 6)), m("Tanh")), of(3, 3, 4));
        golden.add("shape_reshape_batch", () -> seq(m("Reshape", of(2, 6), new scala.Some(true))), of(3, 3, 4));
        golden.add("shape_view", () -> seq(conv(2, 3, 1, 1, 0, 1), m("View", of(3 * 4 * 5))), of(2, 2, 4, 5));
        golden.add("shape_infer", () -> seq(m("InferReshape", of(4, -1, 2), true)), of(3, 4, 6));
        golden.add("shape_infer_all", () -> seq(m("InferReshape", of(0, -1))), of(3, 4, 6));
        golden.add("shape_transpose", () -> seq(m("Transpose", (Object) new scala.Tuple2[] {
            new scala.Tuple2(2, 3), new scala.Tuple2(3, 4)})), of(2, 3, 4, 5));
        golden.add("shape_select", () -> seq(m("Select", 2, -1)), of(3, 4, 5));
        golden.add("shape_narrow", () -> seq(m("Narrow", 2, 2, -2), m("Narrow", 3, 2, 2)), of(3, 5, 4));
        golden.add("shape_squeeze", () -> seq(m("Squeeze", 3)), of(3, 4, 1, 5));
        golden.add("shape_squeeze_batch", () -> seq(m("Squeeze", 1, 2)), of(3, 1, 4));
        golden.add("shape_unsqueeze", () -> seq(m("Unsqueeze", 2)), of(3, 4));
        golden.add("shape_replicate", () -> seq(m("Replicate", 3, 1, 1)), of(2, 4));
        golden.add("shape_padding", () -> seq(m("Padding", 1, 2, 2, 0.5), m("Padding", 2, -1, 2, -0.5)), of(2, 3, 4));
        golden.add("shape_zero_padding", () -> seq(m("SpatialZeroPadding", 1, 2, -1, 3)), of(2, 3, 4, 5));
        golden.add("shape_cropping", () -> seq(m("Cropping2D", of(1, 0), of(1, 2))), of(2, 3, 4, 6));
        golden.add("shape_tile", () -> seq(m("Tile", 2, 3)), of(2, 3, 4));
        golden.add("shape_reverse", () -> seq(m("Reverse", 2)), of(2, 3, 4));
        golden.add("shape_mean", () -> seq(m("Mean", 1, 2)), of(2, 3, 4));
        golden.add("shape_sum", () -> seq(m("Sum", 2, -1, true, false)), of(2, 3, 4));
        golden.add("shape_max", () -> seq(m("Max", 1, 2)), of(2, 3, 4));
        golden.add("shape_min", () -> seq(m("Min", 2)), of(2, 3, 4));
        golden.add("shape_upsample", () -> seq(m("UpSampling2D", of(2, 3))), of(2, 3, 4, 2));
        golden.add("shape_upsample_sequence", () -> seq(m("UpSampling1D", 2)), of(2, 3, 4));
        golden.add("shape_resize", () -> seq(m("ResizeBilinear", 6, 7, false)), of(2, 3, 4, 5));
        golden.add("shape_resize_corners", () -> seq(m("ResizeBilinear", 6, 7, true)), of(2, 3, 4, 5));
    }

    private static void dense(Golden golden) throws Exception {
        golden.add("linear", () -> seq(m("Linear", 5, 4)), of(3, 5));
        golden.add("linear_without_bias", () -> seq(m("Linear", 5, 4, false)), of(3, 5));
        golden.add("dense_parts", () -> seq(m("CMul", of(1, 5)), m("CAdd", of(1, 5)), m("Mul"), m("Add", 5)), of(3, 5));
        golden.add("dense_maxout", () -> seq(m("Maxout", 5, 4, 3)), of(3, 5));
        golden.add("dense_highway", () -> seq(m("Highway", 5)), of(3, 5));
        golden.add("dense_bilinear", () -> seq(m("Bilinear", 3, 4, 5)), of(2, 3), of(2, 4));
        golden.add("dense_cosine", () -> seq(m("Cosine", 5, 4)), of(3, 5));
        golden.add("dense_bottle", () -> seq(m("Bottle", m("Linear", 5, 4), 2, 2)), of(2, 3, 5));
    }

    private static AbstractModule recurrent(AbstractModule cell) {
        return seq(Build.add(m("Recurrent"), cell));
    }

    private static void sequences(Golden golden) throws Exception {
        golden.add("lookup", () -> seq(m("LookupTable", 9, 4)), Golden.indices(7, 9, 3, 5));
        golden.add("lookup_norm", () -> seq(m("LookupTable", 9, 4, 0.0, 1.0)), Golden.indices(8, 9, 3, 5));
        golden.add("recurrent_rnn", () -> recurrent(m("RnnCell", 5, 4, m("Tanh"))), of(2, 6, 5));
        golden.add("recurrent_lstm", () -> recurrent(m("LSTM", 5, 4)), of(2, 6, 5));
        golden.add("recurrent_lstm_activations",
                () -> recurrent(m("LSTM", 5, 4, 0.0, m("ReLU"), m("HardSigmoid"))), of(2, 6, 5));
        golden.add("recurrent_lstm_dropout", () -> recurrent(m("LSTM", 5, 4, 0.3)), of(2, 6, 5));
        golden.add("recurrent_lstm_peephole", () -> recurrent(m("LSTMPeephole", 5, 4)), of(2, 6, 5));
        golden.add("recurrent_gru", () -> recurrent(m("GRU", 5, 4)), of(2, 6, 5));
        golden.add("recurrent_gru_dropout", () -> recurrent(m("GRU", 5, 4, 0.3)), of(2, 6, 5));
        golden.add("recurrent_both_ways", () -> seq(Build.add(m("BiRecurrent", m("CAddTable")), m("LSTM", 5, 4))), of(2, 6, 5));
        golden.add("recurrent_both_ways_joined",
                () -> seq(Build.add(m("BiRecurrent", m("JoinTable", 3, 3)), m("GRU", 5, 4))), of(2, 6, 5));
        golden.add("time_distributed", () -> seq(m("TimeDistributed", m("Linear", 5, 4))), of(2, 6, 5));
        golden.add("time_distributed_image",
                () -> seq(m("TimeDistributed", seq(conv(2, 3, 3, 1, 1, 1), m("ReLU")))), of(2, 3, 2, 4, 5));
    }

    private static AbstractModule keras(Object... layers) {
        AbstractModule model = (AbstractModule) Build.call("nn.keras.Sequential", "apply");
        for (Object layer : layers) {
            Build.invoke(model, "add", layer);
        }
        return model;
    }

    private static Object k(String name, Object... arguments) {
        return Build.call("nn.keras." + name, "apply", arguments);
    }

    private static void keras(Golden golden) throws Exception {
        golden.add("keras_lenet", () -> {
            Object shape = Build.shape(14, 14, 1);
            return keras(
                    k("Reshape", of(1, 14, 14), shape),
                    k("Convolution2D", 4, 5, 5, Build.DEFAULT, "tanh"),
                    k("MaxPooling2D"),
                    k("Flatten"),
                    k("Dense", 10, Build.DEFAULT, "tanh"),
                    k("Dropout", 0.3),
                    k("Dense", 5, Build.DEFAULT, "softmax"));
        }, of(2, 14, 14, 1));
        golden.add("keras_text", () -> keras(
                k("Embedding", 11, 6, Build.DEFAULT, Build.DEFAULT, Build.shape(7)),
                k("LSTM", 4),
                k("Dense", 3, Build.DEFAULT, "softmax")), Golden.indices(9, 9, 2, 7));
    }

    private static void files(Golden golden) throws Exception {
        Tensor image = Golden.normal(new java.util.Random(3), 2, 3, 6, 6);
        golden.save("weights_beside", () -> seq(conv(3, 4, 3, 1, 1, 1), m("SpatialBatchNormalization", 4), m("ReLU"),
                m("SpatialAveragePooling", 6, 6), m("Reshape", of(4)), m("Linear", 4, 3), m("LogSoftMax")),
                Golden.Weights.BESIDE, image);
        for (String name : asList("quantized", "quantized_linear")) {
            golden.add(name, () -> quantized(name), name.equals("quantized") ? of(2, 3, 6, 6) : of(4, 12));
        }
    }

    private static AbstractModule quantized(String name) {
        AbstractModule plain = name.equals("quantized")
                ? seq(conv(3, 4, 3, 1, 1, 1), m("ReLU"), m("SpatialDilatedConvolution", 4, 4, 3, 3, 1, 1, 2, 2, 2, 2),
                        m("Reshape", of(144)), m("Linear", 144, 3))
                : seq(m("Linear", 12, 6), m("Tanh"), m("Linear", 6, 4));
        return (AbstractModule) Build.invoke(plain.evaluate(), "quantize");
    }
}
