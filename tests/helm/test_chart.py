"""What the chart promises, seen in what Helm makes of it."""

import os
import re
import subprocess

import pytest

from conftest import CHART, NAMESPACE, RELEASE, ROOT, VALUES, binary, helm, render, selected

SERVICES = ["ingest", "infer", "sink"]


@pytest.mark.parametrize("values", ["least", "most"])
def test_helm_has_nothing_to_say_against_it(values):
    answer = helm("lint", "--strict", str(CHART), "--values", str(VALUES / f"{values}.yaml"))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_setting_is_one_that_the_service_takes(chart, tmp_path):
    maps = chart.of("ConfigMap")
    assert maps
    for found in maps:
        [(file, text)] = found["data"].items()
        copy = tmp_path / f"{found['metadata']['name']}.toml"
        copy.write_text(with_secrets(text, tmp_path))
        program = binary(f"millrace-{file.removesuffix('.toml')}")
        command = [program, "--config", copy, "--check-config"]
        answer = subprocess.run(command, env=outside(), capture_output=True, text=True)
        assert answer.returncode == 0, f"{answer.stderr}\n{text}"


def with_secrets(text, folder):
    """The same settings with secrets that are there."""
    for path in sorted(set(re.findall(r"/run/secrets/[\w./-]+", text))):
        file = folder / path.strip("/").replace("/", "-")
        file.write_text("postgresql://millrace@database/results" if path.endswith("url") else CERTIFICATE)
        text = text.replace(f'"{path}"', f'"{file}"')
    return text


# librdkafka reads authorities when settings are checked: any certificate will do.
CERTIFICATE = subprocess.run(
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout /dev/null".split(),
    capture_output=True,
    text=True,
).stdout


def outside():
    return {key: value for key, value in os.environ.items() if not key.startswith("MILLRACE_")}


def test_the_topics_are_asked_for_in_words_that_the_tool_knows(chart):
    [container] = chart.of("Job")[0]["spec"]["template"]["spec"]["containers"]
    arguments = [it for it in container["args"] if "option_files" not in it and "ssl" not in it]
    arguments = [it if not it.startswith("--brokers") else "--brokers=127.0.0.1:1" for it in arguments]
    answer = subprocess.run([binary("millrace"), *arguments], env=outside(), capture_output=True, text=True)
    # Everything was understood; only nobody answers there.
    assert answer.returncode == 4, answer.stderr


def test_nobody_is_root_and_nothing_can_be_written_but_volumes(chart):
    for pod in chart.pods():
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["enableServiceLinks"] is False
        for container in pod["spec"]["containers"]:
            inner = container["securityContext"]
            assert inner["readOnlyRootFilesystem"] is True
            assert inner["allowPrivilegeEscalation"] is False
            assert inner["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def test_what_stays_is_probed_spread_and_given_time_to_stop(chart):
    for stateful in chart.of("StatefulSet"):
        spec = stateful["spec"]["template"]["spec"]
        keys = {it["topologyKey"] for it in spec["topologySpreadConstraints"]}
        assert keys == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        # Longer than drain_deadline of the services.
        assert spec["terminationGracePeriodSeconds"] >= 45
        [container] = spec["containers"]
        assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
        for probe in ["startupProbe", "livenessProbe"]:
            assert container[probe]["httpGet"]["path"] == "/live"
        ports = {it["name"] for it in container["ports"]}
        assert container["livenessProbe"]["httpGet"]["port"] in ports


def test_every_pod_is_under_a_budget_a_policy_and_a_service(chart):
    for stateful in chart.of("StatefulSet"):
        labels = stateful["spec"]["template"]["metadata"]["labels"]
        assert selected(labels, stateful["spec"]["selector"])
        budgets = [it for it in chart.of("PodDisruptionBudget") if selected(labels, it["spec"]["selector"])]
        assert len(budgets) == 1, "two budgets of one pod stop every eviction"
        assert any(selected(labels, it["spec"]["podSelector"]) for it in chart.of("NetworkPolicy"))
        names = {it["metadata"]["name"] for it in chart.of("Service")}
        assert stateful["spec"]["serviceName"] in names


def test_metrics_of_every_pod_are_read(chart):
    [monitor] = chart.of("ServiceMonitor")
    seen = set()
    for service in chart.of("Service"):
        if selected(service["metadata"]["labels"], monitor["spec"]["selector"]):
            seen.add(service["metadata"]["labels"]["app.kubernetes.io/component"])
            assert monitor["spec"]["endpoints"][0]["port"] in {it["name"] for it in service["spec"]["ports"]}
    assert seen == {it["metadata"]["labels"]["app.kubernetes.io/component"] for it in chart.of("StatefulSet")}


def test_replicas_have_names_and_numbers_of_their_own(most):
    def variables(name):
        [container] = most.named("StatefulSet", name)["spec"]["template"]["spec"]["containers"]
        return {it["name"]: it["valueFrom"]["fieldRef"]["fieldPath"] for it in container["env"]}

    ordinal = "metadata.labels['apps.kubernetes.io/pod-index']"
    assert variables(f"{RELEASE}-ingest") == {"MILLRACE_REPLIES__PARTITION": ordinal}
    assert variables(f"{RELEASE}-infer-small") == {
        "MILLRACE_REPLICA": "metadata.name",
        "MILLRACE_CONSUMER__INSTANCE_ID": "metadata.name",
    }
    assert variables(f"{RELEASE}-infer-gpu") == {"MILLRACE_REPLICA": "metadata.name"}
    assert variables(f"{RELEASE}-sink") == {"MILLRACE_INSTANCE": "metadata.name"}


def test_infer_and_sink_are_scaled_by_lag_in_seconds(most):
    known = (ROOT / "crates/kafka/src/metrics.rs").read_text()
    scaled = most.of("ScaledObject")
    assert {it["metadata"]["name"] for it in scaled} == {f"{RELEASE}-infer-small", f"{RELEASE}-infer-gpu", f"{RELEASE}-sink"}
    for found in scaled:
        target = found["spec"]["scaleTargetRef"]
        stateful = most.named(target["kind"], target["name"])
        assert "replicas" not in stateful["spec"], "Helm and KEDA would take turns"
        [trigger] = found["spec"]["triggers"]
        metric, labels = re.fullmatch(r"max\((\w+)\{(.*)\}\)", trigger["metadata"]["query"]).groups()
        assert f'"{metric}"' in known
        assert labels == f'namespace="{NAMESPACE}",service="{target["name"]}"'
        most.named("Service", target["name"])
    [small] = [it for it in scaled if it["metadata"]["name"].endswith("small")]
    assert small["spec"]["maxReplicaCount"] == 20
    assert small["spec"]["triggers"][0]["metadata"]["threshold"] == "2.5"


def test_ingest_is_scaled_by_what_it_computes(most):
    [scaler] = most.of("HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"]["name"] == f"{RELEASE}-ingest"
    assert "replicas" not in most.named("StatefulSet", f"{RELEASE}-ingest")["spec"]


def test_with_tls_ingest_is_probed_over_tls(most):
    [container] = most.named("StatefulSet", f"{RELEASE}-ingest")["spec"]["template"]["spec"]["containers"]
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"]:
        assert container[probe]["httpGet"]["scheme"] == "HTTPS"


def test_new_pipelines_leave_the_pods_of_sink_alone():
    def annotations(*more):
        import yaml

        text = render("--values", str(VALUES / "most.yaml"), *more).stdout
        all_of_them = [it for it in yaml.safe_load_all(text) if it and it["kind"] == "StatefulSet"]
        [sink] = [it for it in all_of_them if it["metadata"]["name"] == f"{RELEASE}-sink"]
        return sink["spec"]["template"]["metadata"]["annotations"]

    assert annotations() == annotations("--set", "sink.pipelines[0].name=other")
    assert annotations() != annotations("--set", "topics.prefix=other")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("ingest.replica=3", "replica"),
        ("kafka.brokers=nowhere", "kafka"),
        ("infer.pools.main.autoscaling.maxReplicas=25", "topics.partitions"),
        ("ingest.autoscaling.maxReplicas=17", "16 partitions"),
        ("kafka.secretName=", "kafka.secretName"),
        ("sink.pipelines=null", "sink.pipelines"),
        ("telemetry.traceRatio=2", "traceRatio"),
    ],
)
def test_mistakes_are_named_before_anything_is_installed(setting, sentence):
    answer = render("--values", str(VALUES / "most.yaml"), "--set", setting)
    assert answer.returncode != 0
    assert sentence in answer.stderr, answer.stderr
