{{/* The pod's template, of the Deployment and of the StatefulSet. */}}
{{- define "vod-callback-exporter.pod" -}}
{{- include "vod-callback-exporter.check" . -}}
{{- $scope := merge (include "vod-callback-exporter.scope" . | fromYaml) (dict "root" .) -}}
{{- if eq .Values.kind "StatefulSet" -}}
{{- $_ := set $scope "stateVolume" "none" -}}
{{- else if .Values.persistence.enabled -}}
{{- $_ := set $scope "stateVolume" (dict "persistentVolumeClaim" (dict "claimName" .Values.persistence.existingClaim)) -}}
{{- end -}}
metadata:
  labels:
    {{- include "vod-callback-exporter.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- include "vod-callback-exporter.shared.podAnnotations" $scope | nindent 4 }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "vod-callback-exporter.serviceAccountName" . | quote }}
  automountServiceAccountToken: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  terminationGracePeriodSeconds: {{ int .Values.terminationGracePeriodSeconds }}
  containers:
    - {{ include "vod-callback-exporter.shared.container" $scope | nindent 6 | trim }}
  volumes:
    {{- include "vod-callback-exporter.shared.volumes" $scope | nindent 4 }}
  {{- with include "vod-callback-exporter.placement" . }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- $own := dict "labelSelector" (dict "matchLabels" (include "vod-callback-exporter.selectorLabels" $ | fromYaml)) }}
    {{- range . }}
    {{- /* A selector of values stays as it is: merging would add the release's labels to it. */}}
    {{- $constraint := . }}
    {{- if not (hasKey . "labelSelector") }}{{ $constraint = merge (dict) . $own }}{{ end }}
    - {{ toYaml $constraint | nindent 6 | trim }}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* Where the exporter may run, and what asks it for `helm test`: a cluster may have no other room for either. */}}
{{- define "vod-callback-exporter.placement" -}}
{{- $v := .Values -}}
{{- $placement := dict -}}
{{- range $key := list "affinity" "nodeSelector" "priorityClassName" "tolerations" -}}
{{- with get $v $key }}{{ $_ := set $placement $key . }}{{ end -}}
{{- end -}}
{{- with $placement }}{{ toYaml . }}{{ end -}}
{{- end -}}
