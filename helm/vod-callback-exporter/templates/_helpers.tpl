{{- define "vod-callback-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimAll "-_." -}}
{{- end -}}

{{- define "vod-callback-exporter.fullname" -}}
{{- /* Below another chart it is an alias, which may have what no name may. */ -}}
{{- $name := .Values.nameOverride | default (include "vod-callback-exporter.shared.kebab" .Chart.Name) -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimAll "-." -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimAll "-." -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimAll "-." -}}
{{- end -}}
{{- end -}}

{{/* Name of the Deployment or StatefulSet. A StatefulSet's is in a label, with a hash of 10 characters behind it. */}}
{{- define "vod-callback-exporter.workload" -}}
{{- $limit := eq .Values.kind "StatefulSet" | ternary 52 63 -}}
{{- include "vod-callback-exporter.shared.fit" (dict "base" (include "vod-callback-exporter.fullname" .) "suffix" "" "limit" $limit) -}}
{{- end -}}

{{- define "vod-callback-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vod-callback-exporter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Those of the pod of `helm test`, which are not the exporter's: the Service would send scrapes there. */}}
{{- define "vod-callback-exporter.testLabels" -}}
app.kubernetes.io/name: {{ include "vod-callback-exporter.shared.fit" (dict "base" (include "vod-callback-exporter.name" .) "suffix" "-test") | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "vod-callback-exporter.labels" -}}
{{ include "vod-callback-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimAll "-_." | quote }}
{{- end -}}

{{- define "vod-callback-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "vod-callback-exporter.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* Whether there is a Service, which a StatefulSet always has; "true" or nothing. */}}
{{- define "vod-callback-exporter.hasService" -}}
{{- if or .Values.service.enabled (eq .Values.kind "StatefulSet") -}}true{{- end -}}
{{- end -}}

{{/* Whether the state is on a volume that outlives the pod, and so belongs to one process at a time; "true" or nothing. */}}
{{- define "vod-callback-exporter.keepsState" -}}
{{- $volume := .Values.state.volume -}}
{{- if or .Values.persistence.enabled (and $volume (not (hasKey $volume "emptyDir")) (not (hasKey $volume "ephemeral"))) -}}true{{- end -}}
{{- end -}}

{{/* What the templates shared with vod-callback-sidecar take, as YAML. */}}
{{- define "vod-callback-exporter.scope" -}}
key: ""
fullname: {{ include "vod-callback-exporter.fullname" . | quote }}
version: {{ .Chart.AppVersion | quote }}
links: {{ toJson .Values.links }}
labels: |
  {{- include "vod-callback-exporter.labels" . | nindent 2 }}
{{- end -}}

{{/* metadata of a resource: a dict of `root` and, where the name is not the release's own, `name`. */}}
{{- define "vod-callback-exporter.metadata" -}}
name: {{ .name | default (include "vod-callback-exporter.fullname" .root) | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "vod-callback-exporter.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A file of rules or of a dashboard, a dict of `root` and `path`, with links that lead where values say. Nothing else is changed. */}}
{{- define "vod-callback-exporter.linked" -}}
{{- $text := .root.Files.Get .path -}}
{{- with .root.Values.links.runbooks }}{{ $text = replace "https://runbooks.example.com/vod-callback-exporter" . $text }}{{ end -}}
{{- with .root.Values.links.grafana }}{{ $text = replace "https://grafana.example.com" . $text }}{{ end -}}
{{- $text -}}
{{- end -}}
