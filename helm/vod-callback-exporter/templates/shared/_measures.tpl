{{/* A copy, by scripts/charts, of vod-callback-sidecar/templates/_measures.tpl. */}}
{{/* Times and sizes of the config, written from src/config/options.rs by
`UPDATE_DOCS=1 cargo test --test helm_values documentation`; then run scripts/charts sync. */}}
{{- define "vod-callback-exporter.shared.measures" -}}
- {"default":"60s","least":10,"measure":"seconds","most":300,"path":"queues[].tick","takes":"a time in whole seconds from `10s` to `5m`"}
- {"default":"60s","least":10,"measure":"seconds","most":300,"path":"defaults.tick","takes":"a time in whole seconds from `10s` to `5m`"}
- {"default":"30s","least":1,"measure":"seconds","most":30,"path":"queues[].long_poll","takes":"a time in whole seconds from `1s` to `30s`"}
- {"default":"30s","least":1,"measure":"seconds","most":30,"path":"defaults.long_poll","takes":"a time in whole seconds from `1s` to `30s`"}
- {"default":"15m","least":1,"measure":"seconds","most":86400,"path":"queues[].transcodes.base","takes":"a time in whole seconds from `1s` to `24h`"}
- {"default":"15m","least":1,"measure":"seconds","most":86400,"path":"defaults.transcodes.base","takes":"a time in whole seconds from `1s` to `24h`"}
- {"default":"1h","least":1,"measure":"seconds","most":604800,"path":"queues[].transcodes.unknown_duration","takes":"a time in whole seconds from `1s` to `168h`"}
- {"default":"1h","least":1,"measure":"seconds","most":604800,"path":"defaults.transcodes.unknown_duration","takes":"a time in whole seconds from `1s` to `168h`"}
- {"default":"48h","least":3600,"measure":"seconds","most":1296000,"path":"queues[].transcodes.abandon_after","takes":"a time in whole seconds from `1h` to `360h`"}
- {"default":"48h","least":3600,"measure":"seconds","most":1296000,"path":"defaults.transcodes.abandon_after","takes":"a time in whole seconds from `1h` to `360h`"}
- {"among":[5,15,30,60,120,300,600,1800,3600,7200,14400,43200,86400],"default":"10m","measure":"seconds","path":"queues[].transcodes.playable_objective","takes":"one of the times `5s`, `15s`, `30s`, `60s`, `2m`, `5m`, `10m`, `30m`, `1h`, `2h`, `4h`, `12h`, `24h`"}
- {"among":[5,15,30,60,120,300,600,1800,3600,7200,14400,43200,86400],"default":"10m","measure":"seconds","path":"defaults.transcodes.playable_objective","takes":"one of the times `5s`, `15s`, `30s`, `60s`, `2m`, `5m`, `10m`, `30m`, `1h`, `2h`, `4h`, `12h`, `24h`"}
- {"default":"60s","least":10,"measure":"seconds","most":3600,"path":"alertmanager.resend","takes":"a time in whole seconds from `10s` to `1h`"}
- {"default":"4MiB","least":65536,"measure":"bytes","most":268435456,"path":"quarantine.max_bytes","takes":"a size from `64KiB` to `256MiB`"}
{{- end -}}
