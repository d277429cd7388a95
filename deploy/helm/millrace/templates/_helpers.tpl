{{/* Names, labels, and what all pods have in common. */}}

{{- define "millrace.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* (dict "root" $ "component" "ingest") */}}
{{- define "millrace.selector" -}}
app.kubernetes.io/name: millrace
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
millrace/pool: {{ . }}
{{- end }}
{{- end }}

{{- define "millrace.labels" -}}
{{ include "millrace.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* (dict "root" $ "image" "millrace-ingest") */}}
{{- define "millrace.image" -}}
{{- with .root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .image }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* What is the same in the settings of all services. */}}
{{- define "millrace.settings" -}}
{{- $files := dict }}
{{- range $option, $key := .Values.kafka.optionFiles }}
{{- $_ := set $files $option (printf "/run/secrets/kafka/%s" $key) }}
{{- end }}
kafka:
  brokers: {{ .Values.kafka.brokers | quote }}
  options: {{ .Values.kafka.options | toJson }}
  option_files: {{ $files | toJson }}
topics:
  prefix: {{ .Values.topics.prefix | quote }}
telemetry:
  log: { format: json }
  trace_ratio: {{ .Values.telemetry.traceRatio }}
  {{- with .Values.telemetry.otlpEndpoint }}
  otlp_endpoint: {{ . | quote }}
  {{- end }}
{{- end }}

{{/* The beginning of every pod. */}}
{{- define "millrace.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .of.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .of.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "millrace.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}

{{/* The beginning of every container. */}}
{{- define "millrace.container" -}}
image: {{ include "millrace.image" (dict "root" .root "image" .image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
resources: {{ toJson .of.resources }}
{{- end }}

{{/* (dict "port" "http" "scheme" "HTTP") */}}
{{- define "millrace.probes" -}}
startupProbe:
  httpGet: { path: /live, port: {{ .port }}, scheme: {{ .scheme }} }
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /live, port: {{ .port }}, scheme: {{ .scheme }} }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /ready, port: {{ .port }}, scheme: {{ .scheme }} }
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}

{{- define "millrace.kafkaMount" -}}
{{- if .Values.kafka.secretName }}
- { name: kafka, mountPath: /run/secrets/kafka, readOnly: true }
{{- end }}
{{- end }}

{{- define "millrace.kafkaVolume" -}}
{{- if .Values.kafka.secretName }}
- name: kafka
  secret: { secretName: {{ .Values.kafka.secretName }}, defaultMode: 0440 }
{{- end }}
{{- end }}

{{/* What every pool of infer is, after its own values were laid over the common ones: a map by name. */}}
{{- define "millrace.pools" -}}
{{- $common := omit .Values.infer "pools" }}
{{- $pools := dict }}
{{- range $name, $own := .Values.infer.pools }}
{{- $_ := set $pools $name (mergeOverwrite (deepCopy $common) ($own | default dict)) }}
{{- end }}
{{- toJson $pools }}
{{- end }}

{{/* Mistakes that no schema can see. */}}
{{- define "millrace.check" -}}
{{- if gt (int .Values.ingest.replicas) 16 }}{{ fail "ingest.replicas: each ingest reads one of the 16 partitions of replies, so there are 16 at most" }}{{ end }}
{{- if and .Values.ingest.autoscaling.enabled (gt (int .Values.ingest.autoscaling.maxReplicas) 16) }}{{ fail "ingest.autoscaling.maxReplicas: each ingest reads one of the 16 partitions of replies, so there are 16 at most" }}{{ end }}
{{- range $name, $pool := include "millrace.pools" . | fromJson }}
{{- if and $pool.autoscaling.enabled (gt (int $pool.autoscaling.maxReplicas) (int $.Values.topics.partitions)) }}{{ fail (printf "infer.pools.%s: autoscaling.maxReplicas is more than topics.partitions (%v); those beyond would be idle" $name $.Values.topics.partitions) }}{{ end }}
{{- end }}
{{- if and .Values.sink.enabled (not .Values.sink.pipelines) }}{{ fail "sink.pipelines is empty: name one, or set sink.enabled to false" }}{{ end }}
{{- if and .Values.kafka.optionFiles (not .Values.kafka.secretName) }}{{ fail "kafka.optionFiles names keys of a Secret, but kafka.secretName is not set" }}{{ end }}
{{- end }}
