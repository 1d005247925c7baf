{{- define "vod-callback-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "vod-callback-exporter.fullname" -}}
{{- $name := include "vod-callback-exporter.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "vod-callback-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vod-callback-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "vod-callback-exporter.labels" -}}
{{ include "vod-callback-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "vod-callback-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "vod-callback-exporter.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* What the templates shared with vod-callback-sidecar take, as YAML. */}}
{{- define "vod-callback-exporter.scope" -}}
key: ""
fullname: {{ include "vod-callback-exporter.fullname" . }}
version: {{ .Chart.AppVersion | quote }}
labels: |
  {{- include "vod-callback-exporter.labels" . | nindent 2 }}
{{- end -}}

{{/* metadata of a resource: a dict of `root` and, where the name is not the release's own, `name`. */}}
{{- define "vod-callback-exporter.metadata" -}}
name: {{ .name | default (include "vod-callback-exporter.fullname" .root) }}
namespace: {{ .root.Release.Namespace }}
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
