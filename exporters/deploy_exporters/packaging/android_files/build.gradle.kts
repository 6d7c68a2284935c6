// The lines that @NAME@ needs in the build.gradle.kts of the app's module, beside those that are there.
android {
    defaultConfig {
        minSdk = @MIN_SDK@ // or later
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
    }
    androidResources {
        noCompress += "tflite" // the model is mapped into memory as it lies in the APK
    }
}

dependencies {
    implementation("com.google.ai.edge.litert:litert:@LITERT@")
    androidTestImplementation("androidx.test:runner:1.6.2")
    androidTestImplementation("androidx.test.ext:junit:1.2.1")
}
