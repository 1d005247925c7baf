{{/* Refuses values that fit the schema and not each other. Renders nothing. */}}
{{- define "vod-callback-exporter.check" -}}
{{- $v := .Values -}}
{{- $replicas := int $v.replicas -}}
{{- if eq $v.kind "StatefulSet" -}}
{{- if eq $v.mode "peek" -}}
{{- include "vod-callback-exporter.shared.refuse" "kind: found StatefulSet, and mode is peek, expected Deployment: what peeking counts needs no volume" -}}
{{- end -}}
{{- if or (not $v.persistence.enabled) $v.persistence.existingClaim -}}
{{- include "vod-callback-exporter.shared.refuse" "persistence: found no volume of its own, and kind is StatefulSet, expected persistence.enabled: true without existingClaim; kind: Deployment takes an existingClaim, or none" -}}
{{- end -}}
{{- else if and $v.persistence.enabled (not $v.persistence.existingClaim) -}}
{{- include "vod-callback-exporter.shared.refuse" "persistence.existingClaim: found nothing, and kind is Deployment, expected the name of a PersistentVolumeClaim, or kind: StatefulSet, which makes its own" -}}
{{- end -}}
{{- if and (eq $v.mode "consume") (gt $replicas 1) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "replicas: found %d, and mode is consume, expected 0 or 1: each of two consumers would count a share of the messages" $replicas) -}}
{{- end -}}
{{- if and $v.persistence.enabled (gt $replicas 1) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "replicas: found %d, and persistence.enabled is true, expected 0 or 1: the state belongs to one process" $replicas) -}}
{{- end -}}
{{- with $v.updateStrategy -}}
{{- $wrong := and (eq $v.kind "Deployment") (ne (.type | default "Recreate") "Recreate") -}}
{{- if and $wrong (or (eq $v.mode "consume") $v.persistence.enabled) -}}
{{- include "vod-callback-exporter.shared.refuse" (printf "updateStrategy.type: found %s, expected Recreate: in mode consume or with persistence, two pods must not run at a time" .type) -}}
{{- end -}}
{{- end -}}
{{- if and $v.podMonitor.enabled $v.serviceMonitor.enabled -}}
{{- include "vod-callback-exporter.shared.refuse" "serviceMonitor.enabled: found true, and podMonitor.enabled is true, expected one of the two: each pod would be scraped twice" -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled (not $v.service.enabled) -}}
{{- include "vod-callback-exporter.shared.refuse" "service.enabled: found false, and serviceMonitor.enabled is true, expected true, or podMonitor.enabled: true instead" -}}
{{- end -}}
{{- if and $v.podDisruptionBudget.enabled (eq (empty (toString $v.podDisruptionBudget.minAvailable)) (empty (toString $v.podDisruptionBudget.maxUnavailable))) -}}
{{- include "vod-callback-exporter.shared.refuse" "podDisruptionBudget: found both or neither of minAvailable and maxUnavailable, expected one of the two, as a number or a percentage" -}}
{{- end -}}
{{- if and $v.credentials.rrsa.roleName (not $v.serviceAccount.create) -}}
{{- include "vod-callback-exporter.shared.refuse" "credentials.rrsa.roleName: found it, and serviceAccount.create is false, expected nothing: annotate that service account with pod-identity.alibabacloud.com/role-name yourself" -}}
{{- end -}}
{{- end -}}
