import com.intel.analytics.bigdl.nn.abstractnn.AbstractModule;
import com.intel.analytics.bigdl.tensor.Tensor;
import com.intel.analytics.bigdl.utils.Node;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import scala.collection.JavaConverters;

/** Makes BigDL's Scala modules from Java: by name, with Scala's default arguments filled in. */
@SuppressWarnings({"unchecked", "rawtypes"})
final class Build {
    /** In the place of an argument: Scala's default for it. */
    static final Object DEFAULT = new Object();
    static final Object FLOAT = scala.reflect.ClassTag$.MODULE$.Float();
    static final Object NUMERIC =
            singleton("tensor.TensorNumericMath$TensorNumeric$NumericFloat$");

    private Build() {}

    /** A module of com.intel.analytics.bigdl.nn, by its name there. */
    static AbstractModule module(String name, Object... given) {
        return (AbstractModule) call("nn." + name, "apply", given);
    }

    /** A container with these modules in it. */
    static AbstractModule container(String name, AbstractModule... parts) {
        return add(module(name), parts);
    }

    static AbstractModule sequential(AbstractModule... parts) {
        return container("Sequential", parts);
    }

    static AbstractModule add(AbstractModule container, AbstractModule... parts) {
        for (AbstractModule part : parts) {
            invoke(container, "add", part);
        }
        return container;
    }

    /** The module as a node of a graph, after these nodes. */
    static Node node(AbstractModule module, Node... before) {
        List<Object> nodes = new ArrayList<>(Arrays.asList(before));
        return (Node) invoke(module, "inputs", JavaConverters.asScalaBufferConverter(nodes).asScala().toSeq());
    }

    /** The module as a node that takes the number `index` of what one node gives. */
    static Node nodeOf(AbstractModule module, Node before, int index) {
        List<Object> none = new ArrayList<>();
        return (Node) invoke(module, "inputs", new scala.Tuple2<>(before, index),
                JavaConverters.asScalaBufferConverter(none).asScala().toSeq());
    }

    static Node input() {
        return (Node) call("nn.Input", "apply");
    }

    static AbstractModule graph(Node[] inputs, Node... outputs) {
        return (AbstractModule) call("nn.Graph", "apply", inputs, outputs);
    }

    static AbstractModule graph(Node input, Node... outputs) {
        return graph(new Node[] {input}, outputs);
    }

    /** A keras-style shape without the batch. */
    static Object shape(int... sizes) {
        return call("utils.Shape", "apply", (Object) sizes);
    }

    static com.intel.analytics.bigdl.utils.Table table(Object... values) {
        var table = new com.intel.analytics.bigdl.utils.Table(new Object[0]);
        for (int i = 0; i < values.length; i++) {
            table.update(i + 1, values[i]);
        }
        return table;
    }

    static Tensor tensor(float[] values, int... sizes) {
        return (Tensor) call("tensor.Tensor", "apply", values, sizes);
    }

    static Object call(String object, String method, Object... given) {
        Object target = singleton(object + "$");
        for (Method candidate : target.getClass().getMethods()) {
            if (!candidate.getName().equals(method)) {
                continue;
            }
            Object[] arguments = arguments(target, candidate, given);
            if (arguments != null) {
                return run(candidate, target, arguments);
            }
        }
        throw new IllegalArgumentException("no " + object + "." + method + " takes " + Arrays.toString(given));
    }

    static Object invoke(Object target, String method, Object... given) {
        for (Method candidate : target.getClass().getMethods()) {
            if (candidate.getName().equals(method) && !candidate.isBridge()) {
                Object[] arguments = arguments(target, candidate, given);
                if (arguments != null) {
                    return run(candidate, target, arguments);
                }
            }
        }
        throw new IllegalArgumentException("no " + target.getClass() + "." + method + " takes " + Arrays.toString(given));
    }

    static Object singleton(String name) {
        try {
            return Class.forName("com.intel.analytics.bigdl." + name).getField("MODULE$").get(null);
        } catch (ReflectiveOperationException error) {
            throw new IllegalArgumentException(name, error);
        }
    }

    private static Object run(Method method, Object target, Object[] arguments) {
        try {
            method.setAccessible(true);
            return method.invoke(target, arguments);
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException(method.toString(), error);
        }
    }

    /** All arguments of the method: what is given, then defaults and Scala's implicit ones. Null if they do not fit. */
    private static Object[] arguments(Object target, Method method, Object[] given) {
        Class<?>[] types = method.getParameterTypes();
        if (given.length > types.length) {
            return null;
        }
        Object[] all = new Object[types.length];
        for (int i = 0; i < types.length; i++) {
            if (i < given.length && given[i] != DEFAULT) {
                if (given[i] != null && !boxed(types[i]).isInstance(given[i])) {
                    return null;
                }
                all[i] = given[i];
            } else if (types[i] == scala.reflect.ClassTag.class) {
                all[i] = FLOAT;
            } else if (types[i].getName().endsWith("$TensorNumeric")) {
                all[i] = NUMERIC;
            } else {
                try {
                    Method standard = target.getClass().getMethod(method.getName() + "$default$" + (i + 1));
                    all[i] = run(standard, target, new Object[0]);
                } catch (NoSuchMethodException error) {
                    return null;
                }
            }
        }
        return all;
    }

    private static Class<?> boxed(Class<?> type) {
        return java.lang.invoke.MethodType.methodType(type).wrap().returnType();
    }
}
