"""Names that are there without a declaration."""

from __future__ import annotations

import builtins
import re
from typing import Final

__all__ = ["in_ecmascript", "in_python"]

_PYTHON_ONLY = """
__file__ __path__ __builtins__ __annotations__ __dict__ __class__ __module__ __qualname__ __debug__ WindowsError reveal_type
reveal_locals aiter anext ExceptionGroup BaseExceptionGroup EncodingWarning PythonFinalizationError
"""
_LANGUAGE = """
AggregateError Array ArrayBuffer AsyncDisposableStack Atomics BigInt BigInt64Array BigUint64Array Boolean DataView Date
DisposableStack Error EvalError FinalizationRegistry Float16Array Float32Array Float64Array Function Infinity Int16Array
Int32Array Int8Array Intl Iterator JSON Map Math NaN Number Object Promise Proxy RangeError ReferenceError Reflect RegExp
Set SharedArrayBuffer String SuppressedError Symbol SyntaxError TypeError URIError Uint16Array Uint32Array Uint8Array
Uint8ClampedArray WeakMap WeakRef WeakSet WebAssembly arguments decodeURI decodeURIComponent encodeURI encodeURIComponent
escape eval globalThis isFinite isNaN parseFloat parseInt undefined unescape
"""
_SHARED = """
AbortController AbortSignal Blob BroadcastChannel ByteLengthQueuingStrategy CompressionStream CountQueuingStrategy Crypto
CryptoKey CustomEvent DOMException DecompressionStream Event EventSource EventTarget File FormData Headers MessageChannel
MessageEvent MessagePort Performance PerformanceEntry PerformanceMark PerformanceMeasure PerformanceObserver ReadableStream
ReadableStreamDefaultReader Request Response SubtleCrypto TextDecoder TextDecoderStream TextEncoder TextEncoderStream
TransformStream URL URLSearchParams WebSocket Worker WritableStream atob btoa clearInterval clearTimeout console crypto
fetch navigator performance queueMicrotask reportError setInterval setTimeout structuredClone
"""
# Those that are more often a lost local (name, length, status, event, parent, top, …) are left out.
_BROWSER = """
AnalyserNode Animation AnimationEvent Attr Audio AudioBuffer AudioBufferSourceNode AudioContext AudioNode AudioParam
AudioWorkletNode BaseAudioContext BeforeUnloadEvent BiquadFilterNode CDATASection CSS CSSRule CSSStyleDeclaration
CSSStyleSheet Cache CanvasGradient CanvasPattern CanvasRenderingContext2D CharacterData Clipboard ClipboardEvent
ClipboardItem CloseEvent Comment CompositionEvent CookieStore Credential CustomElementRegistry DOMImplementation DOMMatrix
DOMParser DOMPoint DOMQuad DOMRect DOMRectReadOnly DOMStringMap DOMTokenList DataTransfer DataTransferItem DeviceMotionEvent
DeviceOrientationEvent Document DocumentFragment DragEvent Element ErrorEvent FileList FileReader FileSystemDirectoryHandle
FileSystemFileHandle FileSystemHandle FocusEvent FontFace GainNode Gamepad Geolocation GeolocationPosition HashChangeEvent
Highlight History IdleDeadline Image ImageBitmap ImageData InputEvent IntersectionObserver IntersectionObserverEntry
KeyboardEvent KeyframeEffect Location MathMLElement MediaDevices MediaMetadata MediaQueryList MediaQueryListEvent
MediaRecorder MediaSource MediaStream MediaStreamTrack MouseEvent MutationObserver MutationRecord NamedNodeMap Navigator
Node NodeFilter NodeList Notification OfflineAudioContext OffscreenCanvas Option OscillatorNode PannerNode Path2D
PaymentRequest PointerEvent PopStateEvent ProgressEvent PromiseRejectionEvent PublicKeyCredential Range ResizeObserver
ResizeObserverEntry Screen Selection ServiceWorker ShadowRoot SharedWorker SpeechSynthesisUtterance Storage StorageEvent
StyleSheet SubmitEvent Text TextMetrics TimeRanges ToggleEvent Touch TouchEvent TouchList TransitionEvent TreeWalker UIEvent
ViewTransition VisualViewport WakeLock WheelEvent Window XMLDocument XMLHttpRequest XMLSerializer XPathResult
addEventListener alert blur caches cancelAnimationFrame cancelIdleCallback close confirm createImageBitmap customElements
devicePixelRatio dispatchEvent document focus frames getComputedStyle getSelection history importScripts indexedDB
innerHeight innerWidth isSecureContext localStorage location matchMedia moveBy moveTo open opener outerHeight outerWidth
pageXOffset pageYOffset postMessage print prompt removeEventListener requestAnimationFrame requestIdleCallback resizeBy
resizeTo screen scroll scrollBy scrollTo scrollX scrollY self sessionStorage speechSynthesis visualViewport
webkitAudioContext webkitSpeechRecognition webkitURL window
"""
_SERVERS = """
Buffer Bun Deno NodeJS __dirname __filename clearImmediate exports global module process require setImmediate
"""
# React and JSX as namespaces of types, and what test runners put there.
_TOOLS = """
JSX React afterAll afterEach beforeAll beforeEach describe expect it jest test vi
"""
_PYTHON: Final = frozenset([*dir(builtins), *_PYTHON_ONLY.split()])
_ECMASCRIPT: Final = frozenset(f"{_LANGUAGE} {_SHARED} {_BROWSER} {_SERVERS} {_TOOLS}".split())
_FAMILIES: Final = re.compile(r"(?:HTML\w*(?:Element|Collection)|SVG\w*|WebGL\w*|RTC\w*|IDB\w*|GPU\w*|XR\w*)\Z")


def in_ecmascript(name: str) -> bool:
    """Tell whether a name is there in some place JavaScript runs in."""
    return name in _ECMASCRIPT or _FAMILIES.match(name) is not None


def in_python(name: str) -> bool:
    """Tell whether a name is there in every module of Python."""
    return name in _PYTHON
