<#
.SYNOPSIS
Installs, upgrades or removes remote-agent on this host, without questions.

.DESCRIPTION
Installs the MSI, then the service (remote-agent service install), and ends when the agent is online, or says what
keeps it from that. Again: changes what differs; with a newer MSI it upgrades, and running jobs run on. As an
administrator. Exit code 0: done; 1: failed, in words; 2: wrong arguments.

.EXAMPLE
.\install.ps1 -Msi .\remote-agent-0.1.0-x64.msi -Sha256 4A…9F -Server https://jobs.example.com -TokenFile .\token

.EXAMPLE
.\install.ps1 -Msi .\remote-agent-0.2.0-x64.msi

.EXAMPLE
.\install.ps1 -Uninstall -Force
#>
[CmdletBinding(DefaultParameterSetName = 'Install')]
param(
    [Parameter(Mandatory, ParameterSetName = 'Install')] [string] $Msi,
    [Parameter(ParameterSetName = 'Install')] [string] $Sha256,
    [Parameter(ParameterSetName = 'Install')] [string] $Server,
    [Parameter(ParameterSetName = 'Install')] [string] $TokenFile,
    [Parameter(ParameterSetName = 'Install')] [string] $User,
    [Parameter(ParameterSetName = 'Install')] [string] $PasswordFile,
    [Parameter(ParameterSetName = 'Install')] [string] $Deadline,
    [Parameter(ParameterSetName = 'Install')] [switch] $NoStart,
    [Parameter(Mandatory, ParameterSetName = 'Uninstall')] [switch] $Uninstall,
    [Parameter(ParameterSetName = 'Uninstall')] [switch] $Force
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

function Stop-WithMessage([string] $Message, [int] $Code = 1) {
    [Console]::Error.WriteLine("install.ps1: $Message")
    exit $Code
}

function Invoke-Msi([string[]] $Arguments) {
    $log = Join-Path $env:TEMP "remote-agent-msi-$PID.log"
    $process = Start-Process msiexec.exe -ArgumentList ($Arguments + @('/qn', '/norestart', '/l*v', "`"$log`"")) -Wait -PassThru
    # 3010: done, and files that are in use go at the next restart of Windows.
    if ($process.ExitCode -notin 0, 3010) {
        Stop-WithMessage "msiexec ended with $($process.ExitCode); its log is $log"
    }
    Remove-Item $log -ErrorAction SilentlyContinue
}

function Get-Product {
    $key = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\*'
    Get-ItemProperty $key -ErrorAction SilentlyContinue |
        Where-Object { $_.PSObject.Properties['DisplayName'] -and $_.DisplayName -eq 'remote-agent' } |
        Select-Object -First 1
}

function Get-Program([string] $Version) {
    Join-Path $env:ProgramFiles "remote-agent\$Version\remote-agent.exe"
}

$identity = [Security.Principal.WindowsPrincipal] [Security.Principal.WindowsIdentity]::GetCurrent()
if (-not $identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
    Stop-WithMessage 'this takes an administrator: start PowerShell by "Run as administrator"'
}

if ($Uninstall) {
    $product = Get-Product
    if (-not $product) {
        Write-Output 'remote-agent is not installed; nothing to do'
        exit 0
    }
    $program = Get-Program $product.DisplayVersion
    if (Test-Path $program) {
        $words = @('service', 'uninstall')
        if ($Force) { $words += '--force' }
        & $program @words
        if ($LASTEXITCODE) { exit $LASTEXITCODE }
    }
    Invoke-Msi @('/x', $product.PSChildName)
    Write-Output "removed  remote-agent $($product.DisplayVersion)"
    exit 0
}

if (-not (Test-Path $Msi -PathType Leaf)) { Stop-WithMessage "there is no file $Msi" 2 }
if ($Sha256 -and (Get-FileHash $Msi -Algorithm SHA256).Hash -ne $Sha256) {
    Stop-WithMessage "$Msi is not the file that -Sha256 names; get it again"
}
Invoke-Msi @('/i', "`"$((Resolve-Path $Msi).Path)`"")
$product = Get-Product
if (-not $product) { Stop-WithMessage 'the MSI has left no product; look into the event log (MsiInstaller)' }
$words = @('service', 'install')
$given = [ordered] @{
    '--server' = $Server; '--token-file' = $TokenFile; '--user' = $User
    '--password-file' = $PasswordFile; '--deadline' = $Deadline
}
foreach ($flag in $given.Keys) {
    if ($given[$flag]) { $words += $flag, $given[$flag] }
}
if ($NoStart) { $words += '--no-start' }
& (Get-Program $product.DisplayVersion) @words
exit $LASTEXITCODE
