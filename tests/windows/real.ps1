<#
.SYNOPSIS
What Wine cannot show, on a real Windows: the service's own account and its rights, recovery by Windows, the event log,
long paths. As an administrator, on a host that has no remote-agent; leaves nothing. Exit code 0 when all of it held.

.EXAMPLE
.\tests\windows\real.ps1 -Msi dist\remote-agent-x64.msi -Server http://127.0.0.1:8750 -RegistrationToken rrt_… -ApiToken rpt_…
#>
param(
    [Parameter(Mandatory)] [string] $Msi,
    [Parameter(Mandatory)] [string] $Server,
    [Parameter(Mandatory)] [string] $RegistrationToken,
    [Parameter(Mandatory)] [string] $ApiToken
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
$install = Join-Path $PSScriptRoot '..\..\installers\windows\install.ps1'
$data = Join-Path $env:ProgramData 'remote-agent'
$headers = @{ Authorization = "Bearer $ApiToken" }

function Assert([bool] $Holds, [string] $What) {
    if (-not $Holds) { throw "it does not hold: $What" }
    Write-Output "holds    $What"
}

function Wait-For([scriptblock] $Condition, [string] $What) {
    $end = (Get-Date).AddSeconds(60)
    while (-not (& $Condition)) {
        if ((Get-Date) -gt $end) { throw "did not happen within 60 s: $What" }
        Start-Sleep -Milliseconds 200
    }
    Write-Output "holds    $What"
}

function Submit-Job([string] $Script) {
    $body = @{ kind = 'command'; shell = 'powershell'; script = $Script } | ConvertTo-Json
    (Invoke-RestMethod "$Server/api/v1/jobs" -Method Post -Headers $headers -Body $body -ContentType 'application/json').id
}

function Get-Job-View([string] $Id) { Invoke-RestMethod "$Server/api/v1/jobs/$Id" -Headers $headers }
function Get-Log([string] $Id) { Invoke-RestMethod "$Server/api/v1/jobs/$Id/log" -Headers $headers }

$token = New-TemporaryFile
Set-Content -NoNewline $token $RegistrationToken
& $install -Msi $Msi -Server $Server -TokenFile $token
Assert ($LASTEXITCODE -eq 0) 'install.ps1 ends online'

$service = Get-CimInstance Win32_Service -Filter "Name='remote-agent'"
Assert ($service.StartName -eq 'NT SERVICE\remote-agent') 'the service has an account of its own'
$others = (Get-Acl $data).Access | Where-Object { $_.IdentityReference -match 'Users|Everyone' }
Assert (-not $others) 'other users cannot read its folder'

$job = Submit-Job 'whoami; [Console]::OutputEncoding.CodePage; $long = "\\?\" + $env:REMOTE_WORK_DIR + ("\" + "x" * 100) * 3; New-Item -ItemType Directory $long | Out-Null; "made"'
Wait-For { (Get-Job-View $job).state -in 'succeeded', 'failed' } 'a job ends'
$log = Get-Log $job
Assert ($log -match 'remote-agent' -and $log -match 'made') 'it ran as the account, and made a path of more than 260 characters'

$job = Submit-Job '1..200 | ForEach-Object { $_; Start-Sleep -Milliseconds 100 }'
Wait-For { (Get-Job-View $job).state -eq 'running' } 'a job runs'
$before = (Get-CimInstance Win32_Service -Filter "Name='remote-agent'").ProcessId
Stop-Process -Id $before -Force
Wait-For {
    $now = (Get-CimInstance Win32_Service -Filter "Name='remote-agent'").ProcessId
    $now -and $now -ne $before
} 'Windows starts a killed service again'
Wait-For { (Get-Job-View $job).state -eq 'succeeded' } 'its job ran on'
Assert (((Get-Log $job) -split "`r?`n" | Where-Object { $_ }).Count -eq 200) 'and its log is whole'

Restart-Service remote-agent
Wait-For { (Get-Service remote-agent).Status -eq 'Running' } 'services.msc can restart it'
$events = Get-WinEvent -FilterHashtable @{ LogName = 'Application'; ProviderName = 'remote-agent' } -ErrorAction SilentlyContinue
Write-Output "events   $(@($events).Count)"

& $install -Uninstall -Force
Assert ($LASTEXITCODE -eq 0) 'install.ps1 -Uninstall'
Assert (-not (Test-Path $data)) 'no data is left'
Assert (-not (Get-Service remote-agent -ErrorAction SilentlyContinue)) 'no service is left'
