{{/* Whether the chart mounts the token that a RAM role is taken with; else the cluster's webhook does. "true" or nothing. */}}
{{- define "vod-callback-sidecar.projectsToken" -}}
{{- if and (eq .credentials.type "rrsa") .credentials.rrsa.roleArn -}}true{{- end -}}
{{- end -}}

{{/* Whether a RAM role comes from the cluster's webhook; "true" or nothing. */}}
{{- define "vod-callback-sidecar.needsWebhook" -}}
{{- if and (eq .credentials.type "rrsa") (not .credentials.rrsa.roleArn) -}}true{{- end -}}
{{- end -}}

{{/*
The items for `volumes`. Files are readable by all: the container's user is none that the host's pod knows of, and only its own
container mounts them. `stateVolume` replaces the state's volume source; "none" leaves the volume to somebody else.
*/}}
{{- define "vod-callback-sidecar.volumes" -}}
{{- if include "vod-callback-sidecar.isEnabled" . -}}
{{- $v := .root.Values -}}
{{- if .key }}{{ $v = get .root.Values .key }}{{ end -}}
- name: vod-callback-config
  configMap:
    name: {{ include "vod-callback-sidecar.fullname" . | quote }}
{{- if ne (.stateVolume | default "" | toString) "none" }}
- name: vod-callback-state
  {{- toYaml (.stateVolume | default $v.state.volume | default (dict "emptyDir" (dict "sizeLimit" $v.state.sizeLimit))) | nindent 2 }}
{{- end }}
{{- if eq $v.credentials.type "secret" }}
- name: vod-callback-credentials
  secret:
    secretName: {{ $v.credentials.existingSecret | quote }}
    defaultMode: 0444
{{- end }}
{{- if include "vod-callback-sidecar.projectsToken" $v }}
- name: vod-callback-token
  projected:
    defaultMode: 0444
    sources:
      - serviceAccountToken:
          path: token
          audience: sts.aliyuncs.com
          expirationSeconds: {{ int $v.credentials.rrsa.tokenExpirationSeconds }}
{{- end }}
{{- if $v.webConfig.existingSecret }}
- name: vod-callback-web
  secret:
    secretName: {{ $v.webConfig.existingSecret | quote }}
    defaultMode: 0444
{{- end }}
{{- with $v.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
{{- end -}}
