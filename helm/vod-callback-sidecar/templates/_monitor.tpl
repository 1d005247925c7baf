{{/* What PodMonitor and ServiceMonitor say alike of the endpoint. */}}
{{- define "vod-callback-sidecar.endpoint" -}}
{{- $m := .monitor -}}
path: /metrics
{{- if .v.webConfig.tls }}
scheme: https
{{- end }}
{{- with $m.interval }}
interval: {{ . }}
{{- end }}
{{- with $m.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with $m.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $m.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $m.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $m.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Refuses labels that would stand twice in what has them: a dict of `own`, which the chart sets, the `labels` of values and their `path`. */}}
{{- define "vod-callback-sidecar.checkLabels" -}}
{{- range $label, $_ := .labels -}}
{{- if hasKey $.own $label -}}
{{- include "vod-callback-sidecar.refuse" (printf "%s: found %s, which the chart sets, expected another label" $.path $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The PodMonitor, if values want one. `selector` has the labels by which the host's pods are found. */}}
{{- define "vod-callback-sidecar.podMonitor" -}}
{{- if include "vod-callback-sidecar.isEnabled" . -}}
{{- $v := .root.Values -}}
{{- if .key }}{{ $v = get .root.Values .key }}{{ end -}}
{{- $path := empty .key | ternary "podMonitor.additionalLabels" (printf "%s.podMonitor.additionalLabels" .key) -}}
{{- $own := include "vod-callback-sidecar.labels" . | fromYaml -}}
{{- include "vod-callback-sidecar.checkLabels" (dict "own" $own "labels" $v.podMonitor.additionalLabels "path" $path) -}}
{{- if $v.podMonitor.enabled -}}
{{- if not .selector -}}
{{- include "vod-callback-sidecar.refuse" "vod-callback-sidecar.podMonitor: found no selector, expected a dict of the labels of the host's pods" -}}
{{- end -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ include "vod-callback-sidecar.fullname" . | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels:
    {{- include "vod-callback-sidecar.labels" . | nindent 4 }}
    {{- with $v.podMonitor.additionalLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- toYaml .selector | nindent 6 }}
  namespaceSelector:
    matchNames:
      - {{ .root.Release.Namespace | quote }}
  podMetricsEndpoints:
    - port: vod-metrics
      {{- include "vod-callback-sidecar.endpoint" (dict "v" $v "monitor" $v.podMonitor) | nindent 6 }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* For NOTES.txt. `replicas` is how many pods the host wants, or may scale to. */}}
{{- define "vod-callback-sidecar.notes" -}}
{{- if include "vod-callback-sidecar.isEnabled" . -}}
{{- $v := .root.Values -}}
{{- if .key }}{{ $v = get .root.Values .key }}{{ end -}}
{{- $at := empty .key | ternary "" (printf "%s." .key) -}}
vod-callback-exporter runs beside the containers of this pod, in mode {{ $v.mode }}, on port {{ int $v.port }}.
{{- if and (eq $v.mode "consume") (gt (int (.replicas | default 1)) 1) }}

WARNING: {{ $at }}mode is consume, and there are up to {{ int .replicas }} pods. Each exporter takes a share of the queue's messages, so that
no count is exact, no view is complete and single videos look stalled. Keep to one pod, or consume in a release of
the chart vod-callback-exporter and set {{ $at }}mode: peek here.
{{- end }}
{{- if and (eq $v.native "always") (include "vod-callback-sidecar.needsWebhook" $v) }}

WARNING: {{ $at }}native is always, and {{ $at }}credentials.rrsa has no ARNs. Where the cluster's webhook overlooks native sidecars,
the exporter ends with code 64, and the containers of this pod never start. Name both ARNs, or set {{ $at }}native: never.
{{- end }}
{{- if not $v.podMonitor.enabled }}

Nothing scrapes it yet: set {{ $at }}podMonitor.enabled=true, or add a scrape job of your own.
{{- end }}
{{- end -}}
{{- end -}}
