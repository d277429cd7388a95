import com.intel.analytics.bigdl.nn.abstractnn.AbstractModule;
import com.intel.analytics.bigdl.tensor.Tensor;
import com.intel.analytics.bigdl.utils.Table;
import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/**
 * Writes golden files: for each network a folder with the file that BigDL saves, seeded inputs, and what BigDL answers.
 *
 * Arguments: the folder to write to; "small" (all committed networks) or "full" (the classic ones at full size).
 */
@SuppressWarnings({"unchecked", "rawtypes"})
public final class Golden {
    private final Path folder;
    private final String only;
    private int failed;

    private Golden(Path folder, String only) {
        this.folder = folder;
        this.only = only;
    }

    public static void main(String[] arguments) throws Exception {
        System.setProperty("bigdl.localMode", "true");
        System.setProperty("bigdl.coreNumber", "1");
        com.intel.analytics.bigdl.utils.Engine.init();
        Golden golden = new Golden(Path.of(arguments[0]), arguments.length > 2 ? arguments[2] : null);
        if (arguments[1].equals("full")) {
            Zoo.full(golden);
        } else {
            Layers.all(golden);
            Zoo.small(golden);
        }
        System.exit(golden.failed == 0 ? 0 : 1);
    }

    interface Maker {
        AbstractModule make();
    }

    /** A case whose inputs are random numbers about 0, of these shapes. */
    void add(String name, Maker maker, int[]... shapes) throws Exception {
        Random random = new Random(name.hashCode());
        Tensor[] inputs = new Tensor[shapes.length];
        for (int i = 0; i < shapes.length; i++) {
            inputs[i] = normal(random, shapes[i]);
        }
        add(name, maker, inputs);
    }

    void add(String name, Maker maker, Tensor... inputs) throws Exception {
        save(name, maker, Weights.INSIDE, inputs);
    }

    enum Weights { INSIDE, BESIDE }

    void save(String name, Maker maker, Weights weights, Tensor... inputs) throws Exception {
        if (only != null && !name.equals(only)) {
            return;
        }
        try {
            make(name, maker, weights, inputs);
        } catch (Exception error) {
            Throwable cause = error;
            while (cause.getCause() != null) {
                cause = cause.getCause();
            }
            System.out.println(name + ": FAILED: " + cause.toString().replace('\n', ' '));
            failed++;
        }
    }

    private void make(String name, Maker maker, Weights weights, Tensor... inputs) throws Exception {
        Object generator = Build.call("utils.RandomGenerator", "RNG");
        Build.invoke(generator, "setSeed", (long) name.hashCode());
        AbstractModule module = maker.make();
        Path target = Files.createDirectories(folder.resolve(name));
        shake(module, new Random(name.hashCode() + 1));
        module.evaluate();
        String weightPath = weights == Weights.BESIDE ? target.resolve("model.bin").toString() : null;
        // Before the first run: max pooling forgets its ceil mode when one input did not need it.
        Build.invoke(module, "saveModule", target.resolve("model.bigdl").toString(), weightPath, true);
        Object input = inputs.length == 1 ? inputs[0] : Build.table((Object[]) inputs);
        for (int i = 0; i < inputs.length; i++) {
            write(target.resolve("input" + i + ".npy"), inputs[i]);
        }
        int[] count = {0};
        writeAll(target, Build.invoke(module, "forward", input), count);
        System.out.println(name + ": " + Files.size(target.resolve("model.bigdl")) + " bytes, " + count[0] + " outputs");
    }

    private static void writeAll(Path target, Object output, int[] count) throws IOException {
        if (output instanceof Tensor) {
            write(target.resolve("output" + count[0]++ + ".npy"), (Tensor) output);
            return;
        }
        Table table = (Table) output;
        for (int i = 1; i <= table.length(); i++) {
            writeAll(target, table.apply(i), count);
        }
    }

    static Tensor normal(Random random, int... shape) {
        int count = 1;
        for (int size : shape) {
            count *= size;
        }
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return Build.tensor(values, shape);
    }

    /** Whole numbers from 1 to `most`: what a table of words is asked for. */
    static Tensor indices(int seed, int most, int... shape) {
        Random random = new Random(seed);
        Tensor tensor = normal(random, shape);
        float[] values = (float[]) tensor.storage().array();
        for (int i = 0; i < values.length; i++) {
            values[i] = 1 + random.nextInt(most);
        }
        return tensor;
    }

    /** Moves every parameter and every running statistic off its initial value, so that none may be left out. */
    private static void shake(AbstractModule module, Random random) throws Exception {
        scala.Tuple2<Tensor[], Tensor[]> parameters = module.parameters();
        if (parameters != null && parameters._1() != null) {
            for (Tensor parameter : parameters._1()) {
                if (parameter instanceof com.intel.analytics.bigdl.tensor.DenseTensor && parameter.nElement() > 0) {
                    shift(parameter, random, -0.1f, 0.1f);
                }
            }
        }
        shakeStatistics(module, random);
    }

    private static void shakeStatistics(Object module, Random random) throws Exception {
        if (module instanceof com.intel.analytics.bigdl.nn.BatchNormalization) {
            Field mean = com.intel.analytics.bigdl.nn.BatchNormalization.class.getDeclaredField("runningMean");
            Field variance = com.intel.analytics.bigdl.nn.BatchNormalization.class.getDeclaredField("runningVar");
            mean.setAccessible(true);
            variance.setAccessible(true);
            shift((Tensor) mean.get(module), random, -0.3f, 0.3f);
            shift((Tensor) variance.get(module), random, -0.4f, 0.9f);
        }
        if (module instanceof com.intel.analytics.bigdl.nn.Recurrent) {
            settle((com.intel.analytics.bigdl.nn.Recurrent) module);
        }
        if (module instanceof com.intel.analytics.bigdl.nn.Container) {
            var parts = ((com.intel.analytics.bigdl.nn.Container) module).modules();
            for (int i = 0; i < parts.length(); i++) {
                shakeStatistics(parts.apply(i), random);
            }
        }
    }

    /** `evaluate` does not reach what is in a cell: its dropout would go on, and answers would be random. */
    private static void settle(com.intel.analytics.bigdl.nn.Recurrent recurrent) {
        Object cell = Build.invoke(Build.invoke(recurrent, "topology"), "cell");
        ((AbstractModule) cell).evaluate();
    }

    private static void shift(Tensor tensor, Random random, float least, float most) {
        if (tensor.storage() == null) {
            return;
        }
        float[] values = (float[]) tensor.storage().array();
        int start = tensor.storageOffset() - 1;
        for (int i = start; i < start + tensor.nElement(); i++) {
            values[i] += least + random.nextFloat() * (most - least);
        }
    }

    /** NumPy's format, version 1.0: float32, C order. */
    private static void write(Path path, Tensor tensor) throws IOException {
        Tensor dense = tensor.contiguous();
        StringBuilder shape = new StringBuilder();
        for (int size : dense.size()) {
            shape.append(size).append(", ");
        }
        String header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
        int padding = 64 - (10 + header.length() + 1) % 64;
        header = header + " ".repeat(padding) + "\n";
        float[] values = (float[]) dense.storage().array();
        ByteBuffer bytes = ByteBuffer.allocate(10 + header.length() + 4 * dense.nElement()).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0}).putShort((short) header.length());
        bytes.put(header.getBytes(StandardCharsets.US_ASCII));
        for (int i = 0; i < dense.nElement(); i++) {
            bytes.putFloat(values[dense.storageOffset() - 1 + i]);
        }
        Files.write(path, bytes.array());
    }
}
