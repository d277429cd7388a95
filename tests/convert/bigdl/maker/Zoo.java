import com.intel.analytics.bigdl.nn.abstractnn.AbstractModule;
import com.intel.analytics.bigdl.utils.Table;

/** The networks of BigDL's model zoo: as they are where they are small, else with the same layers and fewer channels. */
@SuppressWarnings({"unchecked", "rawtypes"})
final class Zoo {
    private Zoo() {}

    static void small(Golden golden) throws Exception {
        golden.add("lenet5", () -> zoo("lenet.LeNet5", "apply", 10), of(2, 1, 28, 28));
        golden.add("lenet5_graph", () -> zoo("lenet.LeNet5", "graph", 10), of(2, 1, 28, 28));
        golden.add("autoencoder", () -> zoo("autoencoder.Autoencoder", "apply", 16), of(2, 784));
        golden.add("autoencoder_graph", () -> zoo("autoencoder.Autoencoder", "graph", 16), of(2, 784));
        golden.add("resnet_cifar10", () -> zoo("resnet.ResNet", "apply", 10, resnet(8, "A", false)), of(2, 3, 32, 32));
        golden.add("resnet_cifar10_shared", () -> zoo("resnet.ResNet", "graph", 10, resnet(8, "B", true)), of(2, 3, 32, 32));
        golden.add("simple_rnn", () -> zoo("rnn.SimpleRNN", "apply", 12, 8, 12), of(2, 5, 12));
        golden.add("lstm_text", Zoo::lstmText, of(2, 8, 10));
        golden.add("convolution_text", Zoo::convolutionText, of(2, 12, 10));
        golden.add("vgg_narrow", Zoo::vgg, of(2, 3, 32, 32));
        golden.add("inception_v1_narrow", () -> inception(1), of(1, 3, 64, 64));
        golden.add("inception_v2_narrow", () -> inception(2), of(1, 3, 64, 64));
    }

    static void full(Golden golden) throws Exception {
        golden.add("inception_v1", () -> zoo("inception.Inception_v1_NoAuxClassifier", "apply", 1000), of(2, 3, 224, 224));
        golden.add("inception_v1_graph", () -> zoo("inception.Inception_v1_NoAuxClassifier", "graph", 1000), of(2, 3, 224, 224));
        golden.add("inception_v2", () -> zoo("inception.Inception_v2_NoAuxClassifier", "apply", 1000), of(2, 3, 224, 224));
        golden.add("vgg_cifar10", () -> zoo("vgg.VggForCifar10", "apply", 10), of(2, 3, 32, 32));
        golden.add("vgg_16", () -> zoo("vgg.Vgg_16", "apply", 1000), of(1, 3, 224, 224));
        golden.add("resnet_50", () -> zoo("resnet.ResNet", "apply", 1000, resnet50()), of(2, 3, 224, 224));
        golden.add("resnet_20_cifar10", () -> zoo("resnet.ResNet", "apply", 10, resnet(20, "A", true)), of(2, 3, 32, 32));
        golden.add("inception_v1_auxiliary", () -> zoo("inception.Inception_v1", "apply", 1000), of(1, 3, 224, 224));
    }

    private static AbstractModule zoo(String object, String method, Object... arguments) {
        return (AbstractModule) Build.call("models." + object, method, arguments);
    }

    private static int[] of(int... sizes) {
        return sizes;
    }

    private static Table resnet(int depth, String shortcut, boolean shared) {
        Table options = Build.table();
        options.update("depth", depth);
        options.update("shortcutType", Build.singleton("models.resnet.ResNet$ShortcutType$" + shortcut + "$"));
        options.update("dataSet", Build.singleton("models.resnet.ResNet$DatasetType$CIFAR10$"));
        options.update("optnet", shared);
        return options;
    }

    private static Table resnet50() {
        Table options = resnet(50, "B", false);
        options.update("dataSet", Build.singleton("models.resnet.ResNet$DatasetType$ImageNet$"));
        return options;
    }

    private static AbstractModule lstmText() {
        return Build.sequential(
                Build.add(Build.module("Recurrent"), Build.module("LSTM", 10, 12, 0.2)),
                Build.module("Select", 2, -1),
                Build.module("Linear", 12, 10), Build.module("Dropout", 0.2), Build.module("ReLU"),
                Build.module("Linear", 10, 4), Build.module("LogSoftMax"));
    }

    private static AbstractModule convolutionText() {
        return Build.sequential(
                Build.module("TemporalConvolution", 10, 16, 5), Build.module("ReLU"),
                Build.module("TemporalMaxPooling", 8), Build.module("Squeeze", 2),
                Build.module("Linear", 16, 8), Build.module("Dropout", 0.2), Build.module("ReLU"),
                Build.module("Linear", 8, 4), Build.module("LogSoftMax"));
    }

    private static AbstractModule vgg() {
        AbstractModule model = Build.sequential();
        int channels = 3;
        for (int[] block : new int[][] {{4, 4}, {8, 8}, {8, 8, 8}, {12, 12, 12}, {12, 12, 12}}) {
            for (int width : block) {
                Build.add(model, Build.module("SpatialConvolution", channels, width, 3, 3, 1, 1, 1, 1),
                        Build.module("SpatialBatchNormalization", width, 1e-3), Build.module("ReLU", true));
                channels = width;
            }
            AbstractModule pool = Build.module("SpatialMaxPooling", 2, 2, 2, 2);
            Build.invoke(pool, "ceil");
            Build.add(model, pool);
        }
        return Build.add(model, Build.module("View", of(12)), Build.module("Linear", 12, 16),
                Build.module("BatchNormalization", 16), Build.module("ReLU", true), Build.module("Dropout", 0.5),
                Build.module("Linear", 16, 10), Build.module("LogSoftMax"));
    }

    private static AbstractModule inception(int version) {
        AbstractModule model = Build.sequential(
                Build.module("SpatialConvolution", 3, 8, 7, 7, 2, 2, 3, 3, 1, false), Build.module("ReLU", true));
        AbstractModule first = Build.module("SpatialMaxPooling", 3, 3, 2, 2);
        Build.invoke(first, "ceil");
        Build.add(model, first, Build.module("SpatialCrossMapLRN", 5, 0.0001, 0.75));
        String layer = "inception.Inception_Layer_v" + version;
        if (version == 1) {
            Build.add(model, zoo(layer, "apply", 8, Build.table(t(4), t(4, 6), t(2, 4), t(4)), "a/"));
            AbstractModule pool = Build.module("SpatialMaxPooling", 3, 3, 2, 2);
            Build.invoke(pool, "ceil");
            Build.add(model, pool, zoo(layer, "apply", 18, Build.table(t(6), t(4, 8), t(2, 6), t(4)), "b/"));
        } else {
            Build.add(model, zoo(layer, "apply", 8, Build.table(t(4), t(4, 6), t(2, 4), t("avg", 4)), "a/"));
            Build.add(model, zoo(layer, "apply", 18, Build.table(t(0), t(4, 6), t(2, 4), t("max", 0)), "b/"));
            Build.add(model, zoo(layer, "apply", 28, Build.table(t(6), t(4, 8), t(2, 6), t("max", 4)), "c/"));
        }
        AbstractModule view = Build.module("View", of(24));
        Build.invoke(view, "setNumInputDims", 3);
        return Build.add(model, Build.module("SpatialAveragePooling", 8, 8, 1, 1), Build.module("Dropout", 0.4), view,
                Build.module("Linear", 24, 10), Build.module("LogSoftMax"));
    }

    private static Table t(Object... values) {
        return Build.table(values);
    }
}
